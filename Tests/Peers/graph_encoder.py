#!/usr/bin/env python3
"""LightGCN with BPR beside a PyTorch twin: seconds of an epoch, and accuracy after some epochs.

    make build
    python3 Tests/Peers/graph_encoder.py speed --data gowalla=DIR ml-1m=DIR [--threads 1 2] [--steps 20] [--precision int16]
    python3 Tests/Peers/graph_encoder.py accuracy --data gowalla=DIR [--epochs 5] [--seeds 2020 2021 2022]
    python3 Tests/Peers/graph_encoder.py tune --data gowalla=DIR ml-1m-lcfn=DIR [--loss bpr softmax] [--out DIR]
    python3 Tests/Peers/graph_encoder.py best --data gowalla=DIR ml-1m-lcfn=DIR [--loss bpr softmax]

`tune` searches around START by a tenth that is carved out of train, goes on where it was stopped, and prints the settings
and the number of epochs that were best. `best` trains with what it found, FOUND, on all of train. Neither needs PyTorch.

DIR holds LightGCN's train.txt and test.txt. Both sides do the whole step: sampling, K propagations forward and backward,
loss, and Adam over all embeddings. The twin is given every advantage PyTorch has: a symmetric adjacency whose backward
pass is the forward one (no transpose is made), COO and CSR are both timed and the faster one counts, samples are drawn
by vectorised numpy, Adam is the fused one. Rounds alternate between the sides; the best ten steps of the twin, times
the steps of an epoch, stand against the best whole epoch of ours. Processor seconds, all threads together, are printed
beside: on a busy machine they say more than the clock's.
PyTorch is found by the interpreter that runs this script; without it the script says so and measures nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Where searches start, by data set and loss, how many trials they have, and what these draw from.
SOFTMAX = {"loss": "softmax", "sampling": "wholeUsers", "evaluateEvery": 4, "patience": 3, "metric": "ndcg@20"}
START = {
    ("gowalla", "softmax"): (1, {
        **SOFTMAX, "temperature": 0.07, "dimensions": 512, "layers": 2, "learningRate": 0.01, "l2": 0.001,
        "batchSize": 16384, "averaging": 0.9, "epochs": 28, "precision": "bf16", "popularityPower": 0.05,
    }, {"temperature": [0.06, 0.07, 0.08], "l2": [1e-4, 1e-3, 1e-2], "layers": [2, 3],
        "popularityPower": [0.0, 0.03, 0.05, 0.07]}),
    ("ml-1m-lcfn", "softmax"): (1, {
        **SOFTMAX, "temperature": 0.12, "dimensions": 512, "layers": 2, "learningRate": 0.01, "l2": 0.001,
        "batchSize": 32768, "averaging": 0.94, "epochs": 80, "precision": "bf16", "userWeighting": 0.5,
    }, {"temperature": [0.1, 0.12, 0.15], "l2": [5e-4, 1e-3, 2e-3], "layers": [1, 2, 3], "averaging": [0.9, 0.94, 0.96],
        "userWeighting": [0.0, 0.5, 1.0]}),
    ("ml-1m-lcfn", "bpr"): (1, {
        "loss": "bpr", "sampling": "uniformUsers", "dimensions": 64, "layers": 3, "learningRate": 0.005, "l2": 0.001,
        "batchSize": 8192, "averaging": 0.9, "epochs": 200, "evaluateEvery": 5, "patience": 4, "metric": "recall@20",
        "precision": "bf16",
    }, {"l2": [3e-4, 1e-3, 3e-3, 1e-2], "learningRate": [0.002, 0.005, 0.01], "layers": [2, 3],
        "sampling": ["uniformUsers", "shuffledEdges"]}),
}
# What the searches found, laid over START.
FOUND = {
    ("gowalla", "softmax"): {"epochs": 28},
    ("ml-1m-lcfn", "softmax"): {"epochs": 36},
    ("ml-1m-lcfn", "bpr"): {"epochs": 145},
}


def read(folder):
    """Interactions as (users, items, train pairs, test lists)."""
    import numpy as np

    def pairs(name):
        users, items = [], []
        for line in (Path(folder) / name).read_text().splitlines():
            numbers = [int(word) for word in line.split()]
            users += numbers[:1] * (len(numbers) - 1)
            items += numbers[1:]
        return np.array(users), np.array(items)

    train, test = pairs("train.txt"), pairs("test.txt")
    users = int(max(train[0].max(), test[0].max())) + 1
    items = int(max(train[1].max(), test[1].max())) + 1
    return users, items, train, test


class Twin:
    """LightGCN as its authors' PyTorch code has it."""

    def __init__(self, folder, options, layout, seed):
        import numpy as np
        import torch

        warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)  # many lines between those of the table
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.users, self.items, (u, i), self.test = read(folder)
        order = np.lexsort((i, u))
        self.u, self.i = u[order], i[order]
        self.keys = self.u * self.items + self.i
        self.offsets = np.searchsorted(self.u, np.arange(self.users + 1))
        self.active = np.flatnonzero(np.diff(self.offsets))
        self.options = options
        nodes = self.users + self.items
        rows = np.concatenate([self.u, self.i + self.users])
        columns = np.concatenate([self.i + self.users, self.u])
        degree = np.bincount(rows, minlength=nodes)
        values = 1 / np.sqrt(degree[rows] * degree[columns])
        adjacency = torch.sparse_coo_tensor(
            np.stack([rows, columns]), torch.tensor(values, dtype=torch.float32), (nodes, nodes)).coalesce()
        self.adjacency = adjacency.to_sparse_csr() if layout == "csr" else adjacency
        self.weights = torch.nn.Parameter(torch.randn(nodes, options.dimensions) * 0.1)
        self.adam = torch.optim.Adam([self.weights], lr=options.learning_rate, fused=True)

        class Propagate(torch.autograd.Function):
            @staticmethod
            def forward(_, x):
                return self.adjacency @ x

            @staticmethod
            def backward(_, gradient):
                return self.adjacency @ gradient

        self.propagate = Propagate.apply

    def sample(self, count):
        """Users uniformly, one of their items, and an item that is none of theirs."""
        import numpy as np

        users = self.random.choice(self.active, count)
        starts = self.offsets[users]
        positives = self.i[starts + self.random.integers(0, self.offsets[users + 1] - starts)]
        negatives = self.random.integers(0, self.items, count)
        while True:
            keys = users * self.items + negatives
            at = np.searchsorted(self.keys, keys)
            clash = np.flatnonzero(self.keys[np.minimum(at, len(self.keys) - 1)] == keys)
            if not len(clash):
                return users, positives, negatives
            negatives[clash] = self.random.integers(0, self.items, len(clash))

    def embeddings(self):
        layer, total = self.weights, self.weights
        for _ in range(self.options.layers):
            layer = self.propagate(layer)
            total = total + layer
        return total / (self.options.layers + 1)

    def step(self, users, positives, negatives):
        import torch

        u, p, n = (torch.as_tensor(x) for x in (users, positives + self.users, negatives + self.users))
        output = self.embeddings()
        margin = (output[u] * (output[p] - output[n])).sum(1)
        loss = torch.nn.functional.softplus(-margin).mean()
        squares = sum(self.weights[x].square().sum() for x in (u, p, n))
        loss = loss + self.options.l2 / 2 * squares / len(u)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def epoch(self, steps=None):
        """Seconds of an epoch of |train| triples, or of its first steps."""
        started = time.perf_counter()
        total, size = len(self.u), self.options.batch_size
        count = total if steps is None else min(total, steps * size)
        samples = self.sample(count)
        for start in range(0, count, size):
            self.step(*(x[start : start + size] for x in samples))
        return time.perf_counter() - started

    def metrics(self, k=20):
        """Recall@k and NDCG@k over the users that have test items, train items left out."""
        import numpy as np
        import torch

        with torch.no_grad():
            output = self.embeddings()
        lists = {}
        for user, item in zip(*self.test):
            lists.setdefault(int(user), set()).add(int(item))
        discounts = 1 / np.log2(np.arange(k) + 2)
        ideal = np.concatenate([[0], np.cumsum(discounts)])
        recall = ndcg = 0.0
        wanted = sorted(lists)
        for start in range(0, len(wanted), 512):
            block = wanted[start : start + 512]
            scores = output[block] @ output[self.users :].T
            for row, user in enumerate(block):
                scores[row, self.i[self.offsets[user] : self.offsets[user + 1]]] = -torch.inf
            for user, ranking in zip(block, torch.topk(scores, k).indices.tolist()):
                hits = np.array([item in lists[user] for item in ranking])
                recall += hits.sum() / len(lists[user])
                ndcg += discounts[hits].sum() / ideal[min(k, len(lists[user]))]
        return {"recall@20": recall / len(wanted), "ndcg@20": ndcg / len(wanted)}


def train(folder, options, settings, seed, threads):
    """Trains with glta, the graph alone and on all of train, and returns its JSON."""
    with tempfile.TemporaryDirectory() as work:
        config = Path(work) / "config.json"
        config.write_text(json.dumps({"graph": settings}))
        result = subprocess.run(
            [str(options.glta), "train", "--graph-only", "--data", str(folder), "--format", "lightgcn", "--split",
             "given-whole", "--config", str(config), "--seed", str(seed), "--threads", str(threads), "--out",
             f"{work}/out", "--json"],
            stdout=subprocess.PIPE, check=True)
        return json.loads(result.stdout)


def ours(folder, options, epochs, threads, precision="f32", seed=None):
    """BPR as the twin does it."""
    settings = {
        "loss": "bpr", "dimensions": options.dimensions, "layers": options.layers, "batchSize": options.batch_size,
        "learningRate": options.learning_rate, "l2": options.l2, "epochs": epochs, "evaluateEvery": epochs,
        "sampling": "uniformUsers", "precision": precision}
    return train(folder, options, settings, options.seeds[0] if seed is None else seed, threads)


def twin_seconds(folder, options, layout, threads):
    """Clock and processor seconds of a step of the twin in a process of its own: PyTorch fixes its threads once."""
    code = [sys.executable, __file__, "twin", "--data", f"x={folder}", "--layout", layout, "--threads", str(threads)]
    code += ["--seeds", str(options.seeds[0])]
    for name in ("dimensions", "layers", "batch_size", "learning_rate", "l2", "steps"):
        code += ["--" + name.replace("_", "-"), str(getattr(options, name))]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    output = subprocess.run(code, stdout=subprocess.PIPE, check=True, env=environment).stdout
    result = json.loads(output)
    return result["seconds"], result["processor"]


def speed(options):
    layouts, precisions = ("coo", "csr"), options.precision
    heads = "".join(f" glta {precision} | ratio |" for precision in precisions)
    print(f"| data | threads | | PyTorch COO | PyTorch CSR |{heads}\n|---|---|---|---|---|{'---|---|' * len(precisions)}")
    for entry in options.data:
        name, _, folder = entry.partition("=")
        edges = len(read(folder)[2][0])
        steps = -(-edges // options.batch_size)
        for threads in options.threads:
            best = {}
            for _ in range(options.rounds):
                for column in (*layouts, *precisions):
                    if column in layouts:
                        figures = [x * steps for x in twin_seconds(folder, options, column, threads)]
                    else:
                        result = ours(folder, options, 2, threads, column)
                        figures = min(result["epochSeconds"]), min(result["epochProcessorSeconds"])
                    best[column] = [min(pair) for pair in zip(figures, best.get(column, figures))]
            for index, kind in enumerate(("seconds", "processor seconds")):
                coo, csr = (best[layout][index] for layout in layouts)
                peer = min(coo, csr)
                ours_ = (f" {best[x][index]:.2f} | {peer / best[x][index]:.2f} |" for x in precisions)
                print(f"| {name} | {threads} | {kind} | {coo:.2f} | {csr:.2f} |{''.join(ours_)}", flush=True)


def accuracy(options):
    import torch

    torch.set_num_threads(max(options.threads))
    names = ("recall@20", "ndcg@20")
    print("| data | seed | epochs | side | Recall@20 | NDCG@20 |\n|---|---|---|---|---|---|")
    for entry in options.data:
        name, _, folder = entry.partition("=")
        found = {"glta": [], "PyTorch": []}
        for seed in options.seeds:
            found["glta"].append(ours(folder, options, options.epochs, max(options.threads), options.precision[0], seed)["metrics"])
            twin = Twin(folder, options, "csr", seed)
            for _ in range(options.epochs):
                twin.epoch()
            found["PyTorch"].append(twin.metrics())
            for side, runs in found.items():
                figures = " | ".join(f"{runs[-1][x]:.5f}" for x in names)
                print(f"| {name} | {seed} | {options.epochs} | {side} | {figures} |", flush=True)
        means = {side: [sum(run[x] for run in runs) / len(runs) for x in names] for side, runs in found.items()}
        off = " | ".join(f"{100 * (a / b - 1):+.2f} %" for a, b in zip(means["glta"], means["PyTorch"]))
        print(f"| {name} | mean | {options.epochs} | glta against PyTorch | {off} |", flush=True)


def cases(options):
    """The data sets and losses that were asked for and are known."""
    for entry in options.data:
        name, _, folder = entry.partition("=")
        for loss in options.loss:
            if (name, loss) in START:
                yield name, folder, loss
            else:
                print(f"no settings are known for {name} with {loss}", file=sys.stderr)


def tune(options):
    for name, folder, loss in cases(options):
        trials, start, space = START[name, loss]
        out = options.out / f"{name}-{loss}"
        out.mkdir(parents=True, exist_ok=True)
        for kind, value in [("config", {"graph": start}), ("space", space)]:
            (out / f"{kind}.json").write_text(json.dumps(value))
        result = subprocess.run(
            [str(options.glta), "tune", "--data", folder, "--format", "lightgcn", "--split", "given", "--config",
             f"{out}/config.json", "--space", f"{out}/space.json", "--trials", str(trials), "--seed", str(options.seeds[0]),
             "--threads", str(max(options.threads)), "--out", f"{out}/search", "--json"], stdout=subprocess.PIPE, check=True)
        best = json.loads(result.stdout)["best"]
        # The best so far, from the first look on epoch by epoch.
        found = {**best["settings"], "epochs": best["curve"].index(max(best["curve"])) + start["evaluateEvery"]}
        print(f"{name} {loss}: validation {start['metric']} {best['validation']:.4f} with {json.dumps(found)}", flush=True)


def best(options):
    print("| data | loss | seed | Recall@20 | NDCG@20 | seconds |\n|---|---|---|---|---|---|")
    for name, folder, loss in cases(options):
        settings = {**START[name, loss][1], **FOUND.get((name, loss), {})}
        settings["evaluateEvery"] = settings["epochs"]
        for seed in options.seeds:
            result = train(folder, options, settings, seed, max(options.threads))
            figures = " | ".join(f"{result['metrics'][x]:.4f}" for x in ("recall@20", "ndcg@20"))
            print(f"| {name} | {loss} | {seed} | {figures} | {result['seconds']:.0f} |", flush=True)


def twin(options):
    import torch

    torch.set_num_threads(options.threads[0])
    model = Twin(options.data[0].partition("=")[2], options, options.layout, options.seeds[0])
    model.epoch(2)
    chunk = min(10, options.steps)
    seconds, processor = [], []
    for _ in range(max(1, options.steps // chunk)):
        before = time.process_time()
        seconds.append(model.epoch(chunk) / chunk)
        processor.append((time.process_time() - before) / chunk)
    print(json.dumps({"seconds": min(seconds), "processor": min(processor)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "accuracy", "tune", "best", "twin"])
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--glta", default=ROOT / ".build/release/glta")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=20, help="timed steps of the twin, whose epoch is extrapolated")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2020])
    parser.add_argument("--loss", nargs="+", default=["bpr", "softmax"], choices=["bpr", "softmax"])
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--l2", type=float, default=1e-4)
    parser.add_argument("--precision", nargs="+", default=["f32", "bf16", "int16"], choices=["f32", "bf16", "int16"],
                        help="what `speed` keeps layers in; `accuracy` takes the first")
    parser.add_argument("--out", type=Path, default=ROOT / ".demo/graph-encoder", help="where searches are kept")
    parser.add_argument("--layout", choices=["coo", "csr"], default="csr")
    options = parser.parse_args()
    try:
        if options.what not in ("tune", "best"):
            import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed: nothing to compare with. `pip install torch numpy` and run again.")
        return
    {"speed": speed, "accuracy": accuracy, "tune": tune, "best": best, "twin": twin}[options.what](options)


if __name__ == "__main__":
    main()
