#!/usr/bin/env python3
"""How training and retrieval grow with the data: seconds a step, peak memory, and exact searches at several sizes.

    make build
    python3 Tests/Peers/scale.py [--sizes 1 10 50] [--threads 2] [--folder DIR] [--config FILE]

Sizes are in millions of interactions; each is a synthetic graph (`glta data synthetic-graph`) with power-law degrees. The
batch grows with the graph, so that an epoch has fifty steps, all of which are timed; `--epochs` says how many epochs run.
An epoch of the batch that a real training would take, 8,192 triples, is longer: it is extrapolated from the seconds of a
step alone, an upper bound where a step of a smaller batch touches fewer rows, and labelled so. Peak memory is that of
the process, the reading of the data and the ranking of the test split included. No peer is measured here.
"""

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STEPS = 50
# Millions of interactions: users, items.
SHAPES = {1: (20_000, 10_000), 10: (100_000, 50_000), 50: (500_000, 100_000)}


def run(command):
    """What a command prints, its seconds, and its peak memory in MiB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} failed with status {process.returncode}")
        out.seek(0)
        return out.read(), time.perf_counter() - started, usage.ru_maxrss / 1024


def shape(millions):
    if millions in SHAPES:
        return SHAPES[millions]
    return max(1_000, int(20_000 * millions**0.8)), max(500, int(10_000 * millions**0.6))


def measure(millions, arguments, folder):
    users, items = shape(millions)
    interactions = int(millions * 1e6)
    data = folder / f"graph-{interactions}"
    sizes = ["--users", users, "--items", items, "--interactions", interactions]
    _, made, made_peak = run([arguments.glta, "data", "synthetic-graph", "--out", data, *sizes])
    config = json.loads(arguments.config.read_text()) if arguments.config else {}
    # 80 % of the interactions are trained on.
    graph = {"loss": "bpr", "sampling": "shuffledEdges", "dimensions": 64, "layers": 3, **config.get("graph", {})}
    config["graph"] = dict(graph, epochs=arguments.epochs, batchSize=math.ceil(0.8 * interactions / STEPS))
    (folder / "config.json").write_text(json.dumps(config))
    text, seconds, peak = run(
        [arguments.glta, "train", "--graph-only", "--json", "--data", data, "--out", folder / "vectors.safetensors",
         "--config", folder / "config.json", "--threads", arguments.threads])
    epoch = min(json.loads(text)["epochSeconds"])
    text, _, _ = run(
        [arguments.glta, "retrieval", "benchmark", "--json", "--items", items, "--threads", arguments.threads,
         "--rounds", 3])
    found = {(case["form"], case["batch"]): case["ms_per_request"] for case in json.loads(text)["cases"]}
    return {
        "millions": millions, "users": users, "items": items, "made": made, "made_peak": made_peak, "step": epoch / STEPS,
        "epoch": epoch, "whole": epoch / STEPS * 0.8 * interactions / 8_192, "seconds": seconds, "peak": peak,
        "one": found["floats", 1], "many": found["bytes", 64],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 10, 50], metavar="MILLIONS")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--config", type=Path, help="a training configuration; its epochs and batch are replaced")
    parser.add_argument("--folder", type=Path, help="where the data go: 1 GiB at 50 million; a temporary one by default")
    parser.add_argument("--glta", default=ROOT / ".build/release/glta", help="the tool")
    arguments = parser.parse_args()
    head = [("interactions", 12), ("users", 9), ("items", 8), ("made s", 8), ("MiB", 7), ("step s", 8), ("epoch s", 9),
            ("batch 8192 *", 13), ("MiB", 7), ("1 query ms", 11), ("of 64 ms", 9)]
    print("".join(f"{name:>{width}}" for name, width in head))
    before = None
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for millions in arguments.sizes:
            row = measure(millions, arguments, Path(folder))
            print(
                f"{row['millions']:10g} M{row['users']:9}{row['items']:8}{row['made']:8.1f}{row['made_peak']:7.0f}"
                f"{row['step']:8.3f}{row['epoch']:9.1f}{row['whole']:13.0f}{row['peak']:7.0f}{row['one']:11.2f}"
                f"{row['many']:9.3f}", flush=True)
            if before:
                grown = math.log(row["millions"] / before["millions"])
                print(
                    f"{'grows as':>12} interactions^{math.log(row['epoch'] / before['epoch']) / grown:.2f} in epochs of "
                    f"{STEPS} steps, ^{math.log(row['peak'] / before['peak']) / grown:.2f} in memory", flush=True)
            before = row
    print(f"* seconds of an epoch with a batch of 8,192, extrapolated from {STEPS} timed steps: an upper bound")


main()
