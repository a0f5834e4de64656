#!/usr/bin/env python3
"""Whether a 7B model in four bits fits: loads it, takes one training step of stage 3, ranks one request, and says the time and
the peak of memory of each.

    make build
    python3 Tests/Peers/make_gptq_llama.py FOLDER
    python3 Tests/Peers/large_model.py FOLDER [--threads 2] [--users 4]

The data set is made here: a few users with a dozen films each. A step has all of them; validation, and the fit of weights, read
one user each. Any model that --language-model takes will do.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_data(folder, users):
    draw = random.Random(1)
    words = ["red", "river", "night", "train", "garden", "winter", "glass", "harbour", "paper", "stone", "summer", "letter"]
    titles = [f"{a} {b}" for a in words[:6] for b in words[6:]]
    (folder / "items.csv").write_text("item,title\n" + "".join(f"{i},The {title}\n" for i, title in enumerate(titles)))
    pairs = [f"{user},{item}\n" for user in range(users) for item in draw.sample(range(len(titles)), 12)]
    (folder / "interactions.csv").write_text("user,item\n" + "".join(pairs))


def call(options, *arguments):
    """Seconds and the peak of memory, in MiB, of one call of the tool."""
    started = time.perf_counter()
    process = subprocess.Popen([str(options.glta), *map(str, arguments), "--threads", str(options.threads)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"glta {arguments[0]} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--glta", type=Path, default=ROOT / ".build/release/glta")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--users", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        data, bundle, config = work / "data", work / "bundle", work / "config.json"
        data.mkdir()
        write_data(data, options.users)
        config.write_text(json.dumps({
            "validationUsers": 1, "graph": {"epochs": 5},
            "alignment": {"userEpochs": 1, "batchSize": options.users, "usersPerEpoch": options.users}}))
        rows = [
            ("one token", "model", "generate", "--language-model", options.model, "--prompt", "The", "--max-tokens", 1),
            (f"a stage-3 step of {options.users} users, validation, bundle", "train", "--data", data, "--language-model",
             options.model, "--config", config, "--recipe", "paper", "--without", "item-alignment", "--out", bundle),
            ("one request", "recommend", "--bundle", bundle, "--user", 0, "--top", 5)]
        print("| | seconds, loading included | MiB |\n|---|---|---|")
        for label, *arguments in rows:
            seconds, peak = call(options, *arguments)
            print(f"| {label} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
