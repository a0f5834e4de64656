#!/usr/bin/env python3
"""Metrics of one fixed ranking of MovieLens-100K, by trec_eval: the reference of MetricReferenceTests.

    python3 Tests/Golden/metrics_reference.py ../shared/data/ml-100k/interactions.tsv.gz

Every fifth interaction of a user, in the order of the file, is relevant; the others are known and not ranked. An item's
score for a user is a fixed integer, different for each item, so that no implementation has to break a tie. trec_eval
(`pip install pytrec_eval-terrier`) computes everything but the reciprocal rank within the first k, which it does not have.
"""

import collections
import gzip
import json
import sys
from pathlib import Path

import pytrec_eval

CUTOFFS = (5, 10, 20)


def main(path):
    known, relevant = collections.defaultdict(set), collections.defaultdict(set)
    popularity = collections.Counter()
    seen = collections.Counter()
    with gzip.open(path, "rt") as file:
        next(file)
        for line in file:
            user, item = line.split("\t")[:2]
            is_relevant = seen[user] % 5 == 0
            seen[user] += 1
            (relevant if is_relevant else known)[user].add(item)
            popularity[item] += not is_relevant
    items = sorted(popularity, key=int)

    def score(user, item):
        return ((7919 * int(user) + 104729 * int(item)) % 1000 + 3 * popularity[item]) * 1683 + int(item)

    run = {user: {item: float(score(user, item)) for item in items if item not in known[user]} for user in relevant}
    truth = {user: {item: 1 for item in relevant[user]} for user in relevant}
    cutoffs = ",".join(map(str, CUTOFFS))
    measures = {f"{name}.{cutoffs}" for name in ("P", "recall", "ndcg_cut", "success")}
    results = pytrec_eval.RelevanceEvaluator(truth, measures).evaluate(run)
    names = {"precision": "P", "recall": "recall", "ndcg": "ndcg_cut", "hit": "success"}
    metrics = {}
    for k in CUTOFFS:
        for ours, theirs in names.items():
            metrics[f"{ours}@{k}"] = sum(result[f"{theirs}_{k}"] for result in results.values()) / len(results)
        reciprocal = 0.0
        for user, scores in run.items():
            best = sorted(scores, key=scores.get, reverse=True)[:k]
            reciprocal += next((1 / rank for rank, item in enumerate(best, 1) if item in relevant[user]), 0)
        metrics[f"mrr@{k}"] = reciprocal / len(run)
    out = Path(__file__).parent / "metrics_reference.json"
    out.write_text(json.dumps({"users": len(results), "metrics": metrics}, indent=2, sort_keys=True) + "\n")
    print(out.read_text())


main(sys.argv[1])
