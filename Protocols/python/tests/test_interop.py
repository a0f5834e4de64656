"""Ranks through a mesh of the Swift services and compares with `glta recommend`, bit for bit.

Needs `make build`; GLTA_TOOL names another `glta`. Skipped where there is none, unless GLTA_INTEROP=required.
"""
from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from gltp import Client
from gltp.errors import RequestFailed, UnknownItem, UnknownUser
from gltp.registry import Mode

ROOT = Path(__file__).resolve().parents[3]
TOOL = Path(os.environ.get("GLTA_TOOL", ROOT / ".build" / "release" / "glta"))
MODES = ["slots", "first", "autoregressive"]

if not TOOL.exists() and os.environ.get("GLTA_INTEROP") != "required":
    pytest.skip(f"no {TOOL}: `make build` makes it", allow_module_level=True)


def glta(*arguments: str) -> str:
    run = subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def free_port(count: int) -> int:
    """The first of `count` free ports, below those that the system hands out by itself."""
    for _ in range(100):
        first = random.randrange(12_000, 31_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError("no free ports")


class Mesh:
    """`glta up` with two gateways and two rankers."""

    def __init__(self, folder: Path) -> None:
        data, self.bundle = folder / "data", str(folder / "bundle")
        glta("data", "synthetic", "--out", str(data), "--users", "60", "--items", "40")
        glta("train", "--data", str(data), "--language-model", str(ROOT / "Tests/Golden/bert-tiny"), "--recipe", "paper", "--out", self.bundle)
        port = free_port(20)
        self.gateways = [f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 10}"]
        self.log = folder / "up.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [TOOL, "up", "--bundle", self.bundle, "--rankers", "2", "--gateways", "2", "--port", str(port)], stderr=log
            )
        end = time.monotonic() + 30
        while "ready after" not in self.log.read_text():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def pids(self, name: str) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", name], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def expected(self, *arguments: str) -> list[tuple[str, bytes]]:
        answer = json.loads(glta("recommend", "--bundle", self.bundle, "--json", *arguments))
        return [(item["id"], struct.pack("<f", item["score"])) for item in answer["items"]]

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(40) == 0
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    mesh = Mesh(tmp_path_factory.mktemp("mesh"))
    yield mesh
    mesh.close()


@pytest.fixture
def client(mesh):
    with Client(mesh.gateways) as client:
        yield client


def pairs(ranking) -> list[tuple[str, bytes]]:
    return [(item, struct.pack("<f", score)) for item, score in zip(ranking.items, ranking.scores)]


@pytest.mark.parametrize("mode", MODES)
def test_ranks_as_recommend_does_bit_for_bit(mesh, client, mode):
    for user in ["u0", "u1", "u2", "u3", "u4"]:
        ranking = client.rank(user=user, top=3, mode=Mode[mode.upper()])
        assert ranking.final
        assert pairs(ranking) == mesh.expected("--user", user, "--top", "3", "--mode", mode)


def test_unseen_users_candidates_and_filters(mesh, client):
    assert pairs(client.rank(items=["i0", "i8", "i16"], top=5)) == mesh.expected("--items", "i0,i8,i16", "--top", "5")
    candidates = ["i0", "i3", "i5", "i9", "i11", "i14", "i20", "i21", "i25", "i30", "i31", "i33"]
    assert pairs(client.rank(user="u1", top=3, candidates=candidates)) == mesh.expected(
        "--user", "u1", "--top", "3", "--candidates", ",".join(candidates)
    )
    excluded = ["i1", "i2", "i3", "i4", "i5"]
    assert pairs(client.rank(user="u4", top=4, exclude=excluded)) == mesh.expected(
        "--user", "u4", "--top", "4", "--exclude", ",".join(excluded)
    )


def test_streams_complete_snapshots(client):
    with client.rank(user="u1", top=4, stream=True) as snapshots:
        seen = list(snapshots)
    assert len(seen) >= 2 and all(len(ranking.items) == 4 for ranking in seen)
    assert seen[0].provisional and seen[-1].final and not any(ranking.final for ranking in seen[:-1])


def test_what_is_not_known_is_said_to_be_so(client):
    with pytest.raises(UnknownUser):
        client.rank(user="nobody")
    with pytest.raises(UnknownItem):
        client.rank(items=["i0", "i999"])
    with pytest.raises(RequestFailed):
        client.rank(user="u1", top=900)


def test_a_report_names_all_stages(client):
    roles = {session["role"] for session in client.status()["sessions"]}
    assert roles >= {"encoder", "aligner", "ranker"}


def test_a_killed_ranker_and_a_killed_gateway_cost_no_request(mesh):
    failures: list[BaseException] = []
    counts = [0] * 4
    stop = threading.Event()

    def load(lane: int) -> None:
        with Client(mesh.gateways) as client:
            while not stop.is_set():
                try:
                    assert client.rank(user=f"u{counts[lane] % 60}", top=3).final
                    counts[lane] += 1
                except BaseException as error:  # noqa: BLE001
                    failures.append(error)

    lanes = [threading.Thread(target=load, args=(lane,)) for lane in range(4)]
    for lane in lanes:
        lane.start()
    time.sleep(1)
    os.kill(mesh.pids("ranker-0")[0], signal.SIGKILL)
    time.sleep(2)
    os.kill(mesh.pids("gateway-0")[0], signal.SIGKILL)
    time.sleep(3)
    stop.set()
    for lane in lanes:
        lane.join(30)
    assert not failures and min(counts) > 10, (failures, counts)
