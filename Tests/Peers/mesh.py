#!/usr/bin/env python3
"""What the mesh adds to a ranking, and what another worker adds to the mesh: one fixed workload on this machine.

    make build && .build/release/glta model fetch minilm --out .demo/minilm
    python3 Tests/Peers/mesh.py [--model .demo/minilm] [--seconds 8] [--rounds 3]

f32 MiniLM, prompts of 128 tokens, 200 candidates, rankers of one thread. The bundle is trained on generated data, for its
sizes and not for its quality, and kept in .demo/mesh-workload. Exits with 1 where a target is missed.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".build" / "release"
PROMPT, CANDIDATES = 128, 200
# With these, a prompt is the template's 23 tokens, the user, ten slots and the items.
CONFIGURATION = {
    "userTemplate": "User {user} likes the items {items} Select the items that the user interacts with: {slots}",
    "alignment": {"profileTags": 0, "predictionTags": 0, "historyLength": 100, "itemEpochs": 1, "userEpochs": 1, "usersPerEpoch": 64},
    "graph": {"epochs": 5},
}


def glta(*arguments: str) -> str:
    run = subprocess.run([TOOLS / "glta", *map(str, arguments)], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return run.stdout


def free_port() -> int:
    for _ in range(100):
        port = random.randrange(12_000, 31_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no free port")


def prompt_tokens(bundle: Path, users: list[str]) -> list[int]:
    arguments = [word for user in users for word in ("--user", user)]
    return [answer["promptTokens"] for answer in json.loads(glta("recommend", "--bundle", bundle, "--json", *arguments))]


def workload(model: str) -> Path:
    """A bundle whose prompts have `PROMPT` tokens, trained once."""
    folder = ROOT / ".demo" / "mesh-workload"
    bundle = folder / "bundle"
    if not (bundle / "manifest.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "data"
        if not data.exists():
            write_data(data)
        history = 24
        for _ in range(3):
            print(f"training the workload's bundle, {history} items a prompt", file=sys.stderr)
            configuration = dict(CONFIGURATION, alignment=dict(CONFIGURATION["alignment"], historyLength=history))
            (folder / "train.json").write_text(json.dumps(configuration))
            subprocess.run(["rm", "-rf", bundle], check=True)
            glta("train", "--data", data, "--language-model", model, "--recipe", "paper", "--config", folder / "train.json", "--out", bundle)
            found = max(prompt_tokens(bundle, ["u0", "u1", "u2"]))
            if found == PROMPT:
                break
            history += PROMPT - found
    found = prompt_tokens(bundle, [f"u{number}" for number in range(20)])
    if set(found) != {PROMPT}:
        sys.exit(f"prompts have {sorted(set(found))} tokens, expected {PROMPT}: remove {folder}")
    return bundle


def write_data(folder: Path) -> None:
    """200 users with 160 of 2,000 items each, so that every history is longer than a prompt."""
    folder.mkdir()
    words = random.Random(7)
    nouns = ["lamp", "chair", "desk", "pen", "paper", "clock", "shelf", "cable", "folder", "stapler"]
    with (folder / "items.tsv").open("w") as items:
        items.write("item\ttitle\tdescription\tcategories\n")
        for item in range(2_000):
            noun = nouns[item % 10]
            items.write(f"i{item}\t{noun} {item}\ta {noun} for everyday use\t{noun}\n")
    with (folder / "interactions.tsv").open("w") as rows:
        rows.write("user\titem\trating\ttimestamp\n")
        for user in range(200):
            for item in words.sample(range(2_000), 160):
                rows.write(f"u{user}\ti{item}\t5\t0\n")


class Mesh:
    def __init__(self, bundle: Path) -> None:
        self.bundle, self.port, self.joined = bundle, free_port(), {}
        self.gateway = f"tcp://127.0.0.1:{self.port}"
        self.log = tempfile.NamedTemporaryFile("r", suffix=".log")
        with open(self.log.name, "w") as log:
            self.process = subprocess.Popen([TOOLS / "glta", "up", "--bundle", bundle, "--port", str(self.port)], stderr=log)
        self.wait(lambda: "ready after" in Path(self.log.name).read_text(), "the mesh")

    @staticmethod
    def wait(condition, what: str, limit: float = 60) -> float:
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > limit:
                sys.exit(f"{what}: not within {limit} s")
            time.sleep(0.01)
        return time.monotonic() - start

    def status(self) -> dict:
        return json.loads(glta("mesh", "status", "--gateway", self.gateway, "--json"))

    def session(self, name: str) -> dict | None:
        return next((session for session in self.status()["sessions"] if session["peer"] == name), None)

    def start(self, stage: str, name: str) -> None:
        program = {"encoder": "glta-graph-encoder", "aligner": "glta-token-aligner", "ranker": "glta-logits-ranker"}[stage]
        self.joined[name] = subprocess.Popen(
            [TOOLS / program, "--bundle", self.bundle, "--gateway", f"tcp://127.0.0.1:{self.port + 1}", "--name", name, "--log-level", "error"],
            env=dict(os.environ, GLTA_SUPERVISOR_PID=str(os.getpid())),
        )

    def join(self, stage: str, name: str) -> float:
        """Adds a worker; the seconds until it has its session."""
        self.start(stage, name)
        return self.wait(lambda: self.session(name) is not None, name)

    def leave(self, name: str) -> None:
        worker = self.joined.pop(name)
        worker.send_signal(signal.SIGTERM)
        if worker.wait(40) != 0:
            sys.exit(f"{name} left with {worker.returncode}")

    def load(self, *arguments) -> subprocess.Popen:
        command = [TOOLS / "glta", "bench", "--gateway", self.gateway, "--bundle", self.bundle, "--retrieve", CANDIDATES, "--json", *arguments]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        for name in list(self.joined):
            self.leave(name)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def finish(load: subprocess.Popen) -> dict:
    out, _ = load.communicate(timeout=300)
    report = json.loads(out)
    if report["ok"] != report["requests"]:
        sys.exit(f"failed requests under load: {report['errors']}")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=str(ROOT / ".demo" / "minilm"), help="a directory with all-MiniLM-L6-v2")
    parser.add_argument("--seconds", type=float, default=8, help="of load, each time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not Path(options.model, "config.json").exists():
        print(f"SKIPPED: no language model at {options.model}; fetch it with: {TOOLS / 'glta'} model fetch minilm --out {options.model}")
        return
    mesh = Mesh(workload(options.model))
    try:
        result = measure(mesh, options)
    finally:
        mesh.close()
    print(json.dumps(result, indent=1) if options.json else text(result))
    sys.exit(0 if all(target["met"] for target in result["targets"]) else 1)


def measure(mesh: Mesh, options) -> dict:
    duration = ["--duration", options.seconds]
    finish(mesh.load("--concurrency", 2, "--duration", 2))
    calm = finish(mesh.load("--concurrency", 1, *duration))
    # One and two rankers in turn, so that what else runs here meets both alike.
    one, two = [], []
    for _ in range(options.rounds):
        one.append(finish(mesh.load("--concurrency", 8, *duration))["throughput"])
        mesh.join("ranker", "second ranker")
        two.append(finish(mesh.load("--concurrency", 8, *duration))["throughput"])
        mesh.leave("second ranker")
    joined = {}
    load = mesh.load("--concurrency", 8, "--duration", 40)
    time.sleep(1)
    for stage in ["ranker", "encoder", "aligner"]:
        name = f"added {stage}"
        start = mesh.join(stage, name)
        first = mesh.wait(lambda: ((mesh.session(name) or {}).get("report") or {}).get("runs", 0) > 0, f"{name}: a first run")
        joined[stage] = {"from_start_s": round(start + first, 2), "from_session_s": round(first, 2)}
        time.sleep(2)
        mesh.leave(name)
    under_load = finish(load)
    added = calm["latency_ms"]["p50"] - calm["stages"]["ranker"]["compute"]["p50"]
    ratio = statistics.median(two) / statistics.median(one)
    return {
        "workload": f"f32 MiniLM, {PROMPT} prompt tokens, {CANDIDATES} candidates, {os.cpu_count()} cores",
        "low_load": calm, "one_ranker": one, "two_rankers": two, "joined": joined, "requests_while_joining": under_load["requests"],
        "targets": [
            {"what": "two rankers against one, times", "value": round(ratio, 2), "target": ">= 1.7", "met": ratio >= 1.7},
            {"what": "added to p50 beyond the ranker's compute, ms", "value": round(added, 2), "target": "<= 2", "met": added <= 2},
            {"what": "from session to first run, slowest stage, s", "value": max(j["from_session_s"] for j in joined.values()),
             "target": "<= 2", "met": all(j["from_session_s"] <= 2 for j in joined.values())},
        ],
    }


def text(result: dict) -> str:
    calm = result["low_load"]
    lines = [result["workload"], "", f"low load, one request at a time: p50 {calm['latency_ms']['p50']:.2f} ms, p99 {calm['latency_ms']['p99']:.2f} ms",
             "p50 in ms      queue   decode  compute   encode"]
    for stage in ["encoder", "aligner", "ranker"]:
        parts = calm["stages"][stage]
        lines.append(f"{stage:10}" + "".join(f"{parts[part]['p50']:9.2f}" for part in ["queue", "decode", "compute", "encode"]))
    lines += ["", "requests a second, in turn: one ranker " + ", ".join(f"{value:.1f}" for value in result["one_ranker"])
              + "; two " + ", ".join(f"{value:.1f}" for value in result["two_rankers"])]
    for stage, seconds in result["joined"].items():
        lines.append(f"{stage} added under load: first run {seconds['from_session_s']} s after its session, {seconds['from_start_s']} s after its start; left without a failed request")
    lines += [""] + [f"{'ok  ' if t['met'] else 'MISS'} {t['what']}: {t['value']} (target {t['target']})" for t in result["targets"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
