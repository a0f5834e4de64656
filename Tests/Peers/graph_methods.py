#!/usr/bin/env python3
"""Tunes and measures all graph methods on several data sets, and makes the tables of results/graph_methods.md.

    make build && .build/release/glta model fetch minilm --out .demo/minilm
    python3 Tests/Peers/graph_methods.py --data DIR

DIR holds ml-100k, amazon-office-products, ml-1m and goodreads-goodbooks. A cell is one data set and one method: on the
first two a search on validation data (`glta tune`), then three seeds with what it found; on the others one seed with the
settings of the data set named in SETS, and large batches. A seed draws the split as well as the model. The encoders that
build on LightGCN start from the settings found for it and search their own. Then cold items: a tenth of the items withheld,
ranked by LightGCN with nodes from text, by text-kNN and by chance.

Everything that ends is kept in --out, each search trial too: after any stop the same command goes on with the rest, on another
machine with what --results holds. The tables are written again after each cell, with the settings and every figure beside them as JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
METRICS = ["ndcg@10", "recall@10", "recall@20", "precision@10"]
CLOSED = ["popularity", "text-knn", "ease"]
ENCODERS = ["lightgcn", "bpr-mf", "lightgcn+", "rlmrec-con", "rlmrec-gen", "hccf", "hccf+"]
READS_TEXT = ["text-knn", "lightgcn+", "rlmrec-con", "rlmrec-gen", "hccf+"]
SEEDS = [42, 43, 44]

# What is added to a call for a data set, which settings it takes, and how many pairs a step has.
SETS = {
    "ml-100k": {"batch": 16384},
    "amazon-office-products": {"batch": 16384},
    "ml-1m": {"settings": "ml-100k", "batch": 131072},
    "goodreads-goodbooks": {
        "settings": "amazon-office-products", "batch": 65536,
        # The k-core of the data set's README that comes nearest to the paper's Goodreads.
        "flags": ["--min-rating", "4", "--user-core", "19", "--item-core", "5"]},
}

BASE = {"loss": "softmax", "sampling": "wholeUsers", "dimensions": 64, "layers": 2, "learningRate": 0.01, "l2": 0.0,
        "temperature": 0.15, "epochs": 60, "evaluateEvery": 5, "patience": 3}
FACTORS = {"loss": "bpr", "sampling": "shuffledEdges", "layers": 0, "l2": 0.01}
ALIGNMENT = {"alignmentWeight": {"from": 0.003, "to": 0.3, "scale": "log"}, "alignmentTemperature": [0.1, 0.2, 0.4]}
# Trials of a search, the starting settings included, and what it draws from.
SEARCHES = {
    "text-knn": (6, {"neighbours": [5, 10, 20, 50, 100, 0]}),
    "ease": (16, {"easeL2": [20, 50, 100, 200, 300, 500, 1000], "easeDropout": [0.0, 0.2, 0.35, 0.5],
                  "userWeighting": [0.0, 0.3, 0.5, 0.7]}),
    "bpr-mf": (6, {"learningRate": [0.005, 0.01, 0.02], "l2": [0.001, 0.003, 0.01, 0.03, 0.1], "dimensions": [64, 128]}),
    "lightgcn": (10, {"temperature": [0.08, 0.1, 0.15, 0.2, 0.3], "layers": [1, 2, 3], "learningRate": [0.005, 0.01, 0.02],
                      "l2": [0.0, 1e-4, 1e-3], "dimensions": [64, 128], "loss": ["softmax", "softmax", "softmax", "bpr"]}),
    "lightgcn+": (4, ALIGNMENT),
    "rlmrec-con": (4, ALIGNMENT),
    "rlmrec-gen": (4, {**ALIGNMENT, "maskedShare": [0.05, 0.1, 0.2]}),
    "hccf": (4, {**ALIGNMENT, "hyperedges": [32, 64, 128], "hyperedgeScale": [0.03, 0.1, 0.3]}),
    "hccf+": (4, {**ALIGNMENT, "hyperedges": [32, 64, 128], "hyperedgeScale": [0.03, 0.1, 0.3]}),
}


def write(path, text):
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(path.suffix + ".half")
    half.write_text(text)
    os.replace(half, path)


def kept(path, make):
    """What an earlier run left, or a new one."""
    if not path.exists():
        write(path, json.dumps(make(), indent=1, sort_keys=True))
    return json.loads(path.read_text())


class Table:
    def __init__(self, options):
        self.options = options
        self.out = options.out

    def take_up(self):
        """Cells that are in the results and not in `out`, which another machine may have."""
        file = self.options.results / "graph_methods.json"
        for key, cell in (json.loads(file.read_text()) if file.exists() else {}).items():
            name, _, method = key.partition(" ")
            method = "cold" if method == "cold items" else method
            for seed, run in zip(self.seeds(name), cell["runs"]):
                kept(self.out / name / f"{method}-{seed}.json", lambda: {**run, "epochSeconds": [None] * run["epochs"]})
            if cell.get("search"):
                found = {"best": {"settings": cell["settings"]}, "trials": cell["search"]}
                kept(self.out / name / f"{method}-search.json", lambda: found)

    def call(self, command, name, method, config, *flags):
        """One call of the tool on a data set with a configuration."""
        path = self.out / name / f"{method}-{command}.config.json"
        write(path, json.dumps({"graph": config}))
        text = ["--language-model", self.options.model] if method in READS_TEXT or config.get("textNodes") else []
        result = subprocess.run(
            [*map(str, [self.options.glta, command, "--data", self.options.data / name, "--method", method, "--config", path,
                        "--threads", self.options.threads, "--json", *text, *SETS[name].get("flags", []), *flags])],
            stdout=subprocess.PIPE, check=True)
        return json.loads(result.stdout)

    def start(self, name, method):
        """The settings that a search starts from."""
        if method in CLOSED:
            return {}
        start = {**BASE, "batchSize": SETS[name]["batch"]}
        if method == "bpr-mf":
            return {**start, **FACTORS}
        if method != "lightgcn":
            start.update(self.found(name, "lightgcn"))
            start["loss"] = "softmax"
        if method.startswith("hccf"):
            start.update({"alignmentWeight": 0.01, "hyperedges": 64, "hyperedgeScale": 0.1})
        return start

    def found(self, name, method):
        """The best settings of a search on validation data."""
        source = SETS[name].get("settings")
        if source and method != "ease":
            settings = self.settings(source, method)
            return {key: value for key, value in settings.items() if key != "batchSize"}
        if method not in SEARCHES:
            return {}
        return self.search(name, method)["best"]["settings"]

    def settings(self, name, method):
        return {**self.start(name, method), **self.found(name, method)}

    def search(self, name, method):
        trials, space = SEARCHES[method]
        folder = self.out / name / f"{method}-search"

        def make():
            write(folder.with_suffix(".space.json"), json.dumps(space))
            return self.call("tune", name, method, self.start(name, method), "--space", folder.with_suffix(".space.json"),
                             "--trials", trials, "--minutes", self.options.minutes, "--seed", SEEDS[0], "--out", folder)

        return kept(folder.with_suffix(".json"), make)

    def measure(self, name, method, seed):
        def make():
            flags = ["--refit"] if method in CLOSED else []
            return self.call("train", name, method, self.settings(name, method), "--graph-only", "--seed", seed, "--resume",
                             "--out", self.out / name / f"{method}-{seed}.safetensors", *flags)

        return kept(self.out / name / f"{method}-{seed}.json", make)

    def cold(self, name, seed):
        def make():
            return self.call("train", name, "lightgcn", {**self.settings(name, "lightgcn"), "textNodes": True}, "--graph-only",
                             "--split", "cold-items", "--withhold-items", 0.1, "--seed", seed, "--resume",
                             "--out", self.out / name / f"cold-{seed}.safetensors")

        return kept(self.out / name / f"cold-{seed}.json", make)

    def seeds(self, name):
        return SEEDS[:1] if "settings" in SETS[name] else SEEDS

    def run(self):
        """The cheap cells first, so that a stop leaves the most."""
        self.take_up()
        tuned, others = [[name for name in self.options.sets if ("settings" in SETS[name]) == borrows] for borrows in [False, True]]
        cheap, texts, hypergraphs = ["popularity", "ease", *ENCODERS[:2], "cold"], ["text-knn", *ENCODERS[2:5]], ENCODERS[5:]
        for names, methods in [(tuned, cheap), (tuned, texts), (others, cheap), (others, texts), (tuned, hypergraphs), (others, hypergraphs)]:
            for name, method in ((name, method) for name in names for method in methods):
                for seed in self.seeds(name):
                    print(name, method, seed, flush=True)
                    self.cold(name, seed) if method == "cold" else self.measure(name, method, seed)
                    self.save()

    # The tables

    def done(self, name, method):
        paths = [self.out / name / f"{method}-{seed}.json" for seed in self.seeds(name)]
        return [json.loads(path.read_text()) for path in paths if path.exists()]

    def save(self):
        if not self.options.results:
            return
        cells = {}
        lines = ["# Graph methods", "", "`Tests/Peers/graph_methods.py` made this; settings, trials and every figure are in "
                 "graph_methods.json.", "",
                 "Split 80/10/10 by user at random, all items ranked but those of training and validation. Mean and, over three "
                 "seeds (split and model), standard deviation. Searches have 4 to 16 trials on seed 42's "
                 "validation part, each of at most 60 epochs as every run; trials that are behind are left early. Seconds are "
                 "processor seconds of a run with one thread; item texts come from the cache, RLMRec's profiles are read in it. "
                 "`+ validation`: closed forms fitted to training and validation items for the test "
                 "ranking, as they do not stop early. ml-1m and goodreads-goodbooks: one seed, settings of ml-100k and "
                 "amazon-office-products (but EASE's, found on their own validation parts). RLMRec's profiles are the "
                 "extracted tags.", "",
                 f"| data | method | {' | '.join(METRICS)} | seconds | seeds |", "|---|---|" + "---|" * (len(METRICS) + 2)]
        for name in self.options.sets:
            for method in CLOSED + ["bpr-mf", "lightgcn"] + ENCODERS[2:]:
                runs = self.done(name, method)
                if not runs:
                    continue
                search = self.out / name / f"{method}-search.json"
                cells[f"{name} {method}"] = {
                    "settings": self.settings(name, method), "runs": [self.figures(run) for run in runs],
                    "budget": self.budget(method), "search": json.loads(search.read_text())["trials"] if search.exists() else None}
                lines.append(self.row(name, method, runs, "metrics"))
                if method in CLOSED:
                    lines.append(self.row(name, f"{method} + validation", runs, "refitted"))
        lines += self.cold_lines(cells)
        write(self.options.results / "graph_methods.md", "\n".join(lines) + "\n")
        write(self.options.results / "graph_methods.json", json.dumps(cells, indent=1, sort_keys=True) + "\n")

    def budget(self, method):
        """What a search may take: trials, epochs of each, and minutes of all together."""
        if method not in SEARCHES:
            return None
        return {"trials": SEARCHES[method][0], "epochs": BASE["epochs"], "minutes": self.options.minutes}

    @staticmethod
    def figures(run):
        wanted = ["metrics", "refitted", "cold", "validation", "seconds", "processorSeconds", "peakMemoryMiB", "users"]
        return {**{key: run[key] for key in wanted if key in run}, "epochs": len(run["epochSeconds"])}

    @staticmethod
    def spread(values):
        mean = f"{statistics.mean(values):.4f}"
        return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.4f}"

    def row(self, name, label, runs, key):
        cells = [self.spread([run[key][metric] for run in runs]) for metric in METRICS]
        seconds = statistics.mean(run["processorSeconds"] for run in runs) if key == "metrics" else None
        return f"| {name} | {label} | {' | '.join(cells)} | {f'{seconds:.1f}' if seconds is not None else ''} | {len(runs)} |"

    def cold_lines(self, cells):
        lines = ["", "## Cold items", "", "A tenth of the items is withheld from training, with all their interactions; users' "
                 "interactions with them are the test. LightGCN ranks them by nodes from text (`textNodes`).", "",
                 "| data | ranking | recall@20 among withheld | ndcg@10 among withheld | recall@20 among all | "
                 "recall@100 among all | seeds |", "|---|---|---|---|---|---|---|"]
        for name in self.options.sets:
            runs = self.done(name, "cold")
            if not runs:
                continue
            cells[f"{name} cold items"] = {"settings": {**self.settings(name, "lightgcn"), "textNodes": True},
                                           "runs": [self.figures(run) for run in runs]}
            for index, ranking in enumerate(runs[0]["cold"]):
                reports = [run["cold"][index]["report"] for run in runs]
                label = ranking["ranking"] + (", nodes from text" if ranking["ranking"] == "lightgcn" else "")
                values = [self.spread([report[part][metric] for report in reports]) for part, metric in [
                    ("amongWithheld", "recall@20"), ("amongWithheld", "ndcg@10"), ("amongAll", "recall@20"),
                    ("amongAll", "recall@100")]]
                lines.append(f"| {name} | {label} | {' | '.join(values)} | {len(runs)} |")
        return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--glta", type=Path, default=ROOT / ".build/release/glta")
    parser.add_argument("--model", type=Path, default=ROOT / ".demo/minilm")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="of a search at most")
    parser.add_argument("--out", type=Path, default=ROOT / ".demo/graph-methods")
    parser.add_argument("--results", type=Path, default=ROOT / "Tests/Peers/results")
    Table(parser.parse_args()).run()


if __name__ == "__main__":
    main()
