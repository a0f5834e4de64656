#!/usr/bin/env python3
"""What the precision of a language model's weights costs a bundle's ranking, as the README's table has it.

    make build
    python3 Tests/Peers/precision.py --bundle BUNDLE [--precisions f32 bf16 int8] [--language-model PATH] [--json]

Every row is one `glta evaluate` (test split, all items ranked), by the bundle's own score and by the language model's
logits alone, since a prior hides what logits lose. All rank with the same trained parts; the first precision is what the
others are compared with. Delta is the difference of NDCG@10 to it, with its standard error over the users, and overlap@10
the share of its ten best items that are still among the ten best, mean over the users.

Finished rows are kept in --out by the bundle's content; after a stop the same command goes on with the rest. Seconds are
those of the whole command, reading the model included.
"""

import argparse
import json
import math
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCORES = {"bundle's score": [], "logits alone": ["--logits-alone"]}
DEPTH = 10


def call(*arguments):
    return subprocess.run([*map(str, arguments)], stdout=subprocess.PIPE, check=True, text=True).stdout


def measure(options, content, precision, score):
    """Rankings of all users, as `glta evaluate --rankings` writes them, and the seconds that they took."""
    cell = options.out / f"{content[:16]}-{precision}-{score.split()[0]}.json"
    if not cell.exists():
        rankings = cell.with_suffix(".jsonl")
        model = ["--language-model", options.language_model] if options.language_model else []
        started = time.monotonic()
        call(
            options.glta, "evaluate", "--bundle", options.bundle, "--precision", precision, "--rankings", rankings,
            "--threads", options.threads, *model, *SCORES[score])
        seconds = time.monotonic() - started
        users = {line["user"]: line for line in map(json.loads, rankings.read_text().splitlines())}
        cell.write_text(json.dumps({"seconds": seconds, "users": users}))
        rankings.unlink()
    return json.loads(cell.read_text())


def ndcg(line):
    gains = [1 / math.log2(rank + 2) for rank in range(DEPTH)]
    relevant = set(line["relevant"])
    found = sum(gain for gain, item in zip(gains, line["items"]) if item in relevant)
    return found / sum(gains[: len(relevant)])


def overlap(left, right):
    left, right = left["items"][:DEPTH], right["items"][:DEPTH]
    return len(set(left) & set(right)) / len(left)


def compare(reference, other):
    users = reference["users"].keys()
    pairs = [(reference["users"][user], other["users"][user]) for user in users]
    deltas = [ndcg(right) - ndcg(left) for left, right in pairs]
    return {
        "ndcg@10": statistics.mean(ndcg(right) for _, right in pairs),
        "delta": statistics.mean(deltas),
        "delta_error": statistics.stdev(deltas) / math.sqrt(len(deltas)) if len(deltas) > 1 else math.nan,
        "overlap@10": statistics.mean(overlap(*pair) for pair in pairs if pair[0]["items"]),
        "users": len(pairs),
        "seconds": other["seconds"],
    }


def row(result):
    return (
        f"| {result['ranking']} | {result['precision']} | {result['ndcg@10']:.4f} "
        f"| {result['delta']:+.4f} ± {result['delta_error']:.4f} | {result['overlap@10']:.3f} | {result['seconds']:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16", "int8"])
    parser.add_argument("--language-model", help="where the bundle's language model lies, if not where it was")
    parser.add_argument("--glta", default=ROOT / ".build/release/glta")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / ".demo/precision")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    content = json.loads(call(options.glta, "inspect", "--bundle", options.bundle, "--json"))["contentHash"]
    results = []
    for score in SCORES:
        reference = measure(options, content, options.precisions[0], score)
        for precision in options.precisions:
            compared = compare(reference, measure(options, content, precision, score))
            results.append({"ranking": score, "precision": precision, **compared})
    if options.json:
        return print(json.dumps(results, indent=1))
    print("| ranking | precision | NDCG@10 | delta | overlap@10 | seconds |\n|---|---|---|---|---|---|")
    print("\n".join(map(row, results)))


if __name__ == "__main__":
    main()
