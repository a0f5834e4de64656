#!/usr/bin/env python3
"""Trains and evaluates both recipes on several data sets and prints the README's table.

    make build && .build/release/glta model fetch minilm --out .demo/minilm
    python3 Tests/Peers/recipes.py --data ml-100k=PATH ml-1m=PATH [--recipes default paper] [--seed 42]

Every cell is one `glta train` and one `glta evaluate` (test split, all items ranked), with the tool's own figures for
seconds, processor seconds of all threads, and peak memory. A finished cell is kept in --out as JSON; after a stop the same command goes on with the rest,
and a run that was stopped goes on from its checkpoints (its seconds are then those of its last part, and marked).
"""

import argparse
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
METRICS = ["ndcg@10", "precision@10", "recall@10"]


def call(*arguments):
    result = subprocess.run([*map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def measure(name, data, recipe, options, out):
    cell = out / f"{name}-{recipe}-{options.seed}.json"
    if cell.exists():
        return json.loads(cell.read_text())
    bundle = out / f"{name}-{recipe}-{options.seed}"
    resumed = bundle.with_name(bundle.name + ".run").exists()
    trained = call(
        options.glta, "train", "--data", data, "--language-model", options.model, "--out", bundle, "--recipe", recipe,
        "--seed", options.seed, "--threads", options.threads, "--resume", "--json")
    figures = call(options.glta, "evaluate", "--bundle", bundle, "--threads", options.threads, "--json")
    result = {"data": name, "recipe": recipe, "resumed": resumed, "trained": trained, "figures": figures}
    cell.write_text(json.dumps(result, indent=1))
    return result


def row(result, ranking, label):
    values = " | ".join(f"{result['figures'][ranking][metric]:.4f}" for metric in METRICS)
    cost = " | | "
    if ranking == "metrics":
        trained = result["trained"]
        mark = "+" if result["resumed"] else ""
        cost = f"{trained['seconds']:.0f}{mark} | {trained['processorSeconds']:.0f}{mark} | {trained['peakMemoryMiB']}"
    return f"| {result['data']} | {label} | {values} | {cost} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=PATH")
    parser.add_argument("--recipes", nargs="+", default=["default", "paper"])
    parser.add_argument("--glta", default=ROOT / ".build/release/glta")
    parser.add_argument("--model", default=ROOT / ".demo/minilm")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / ".demo/recipes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [f"| data | ranking | {' | '.join(METRICS)} | seconds | CPU seconds | MiB |", "|---|---|" + "---|" * (len(METRICS) + 3)]
    for entry in options.data:
        name, _, data = entry.partition("=")
        results = [measure(name, data, recipe, options, options.out) for recipe in options.recipes]
        lines += [row(result, "metrics", f"GLTA, `{result['recipe']}`") for result in results]
        lines += [row(results[0], "graph", "graph alone"), row(results[0], "popularity", "popularity")]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
