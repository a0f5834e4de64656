#!/usr/bin/env python3
"""How fast the exact best items of a query are found: ours, PyTorch's and NumPy's, and the machine's own product.

    make build
    python3 Tests/Peers/retrieval.py [--items 1000000] [--dimensions 64] [--top 200] [--threads 1 2] [--rounds 3]

Vectors are draws from N(0, 1) on both sides. The peers do what one does with them: PyTorch a product and `topk`, NumPy a
product, `argpartition` and a sort of what that leaves. Rounds of the sides alternate, since the machine may be shared,
and each side keeps its best. Needs `pip install torch numpy`; without them their columns are empty.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BATCHES = [1, 64, 256]


def ours(shape, threads, binary):
    options = [f"--{name}={value}" for name, value in shape.items()]
    command = [binary, "retrieval", "benchmark", "--json", "--rounds=1", f"--threads={threads}", *options]
    return json.loads(
        subprocess.run([*command, "--batch", *map(str, BATCHES)], check=True, capture_output=True, timeout=600).stdout)


def best_time(work, seconds=1.5):
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


class PyTorch:
    def __init__(self, shape):
        import torch

        self.torch, self.top, self.name = torch, shape["top"], f"PyTorch {torch.__version__}"
        self.items = torch.randn(shape["items"], shape["dimensions"])
        self.queries = torch.randn(max(BATCHES), shape["dimensions"])

    def seconds(self, threads, batch):
        self.torch.set_num_threads(threads)
        with self.torch.inference_mode():
            return best_time(lambda: self.torch.topk(self.queries[:batch] @ self.items.T, self.top, dim=1))


class NumPy:
    """On one thread whatever is asked for: its partition has no other, and its BLAS took its own when it was loaded."""

    def __init__(self, shape):
        import numpy

        self.numpy, self.top, self.name = numpy, shape["top"], f"NumPy {numpy.__version__}"
        random = numpy.random.default_rng(1)
        self.items = random.standard_normal((shape["items"], shape["dimensions"]), numpy.float32)
        self.queries = random.standard_normal((max(BATCHES), shape["dimensions"]), numpy.float32)

    def seconds(self, threads, batch):
        def search():
            scores = -(self.queries[:batch] @ self.items.T)
            best = self.numpy.argpartition(scores, self.top, axis=1)[:, : self.top]
            order = self.numpy.take_along_axis(scores, best, 1).argsort(1)
            return self.numpy.take_along_axis(best, order, 1)

        return best_time(search)


def peers(shape):
    for peer in (PyTorch, NumPy):
        try:
            yield peer(shape)
        except ImportError as error:
            print(f"{peer.__name__} is not measured: {error}")


def measure(shape, threads, rounds, others, binary):
    sgemm, seconds = 0.0, {}

    def keep(side, batch, value):
        seconds[side, batch] = min(value, seconds.get((side, batch), float("inf")))

    for _ in range(rounds):
        report = ours(shape, threads, binary)
        sgemm = max(sgemm, report["sgemm_gflops"])
        for case in report["cases"]:
            keep(case["form"], case["batch"], case["ms_per_batch"] / 1e3)
        for other in others:
            for batch in BATCHES:
                keep(other.name, batch, other.seconds(threads, batch))
    return sgemm, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--top", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--glta", default=ROOT / ".build/release/glta", help="the tool")
    arguments = parser.parse_args()
    shape = {"items": arguments.items, "dimensions": arguments.dimensions, "top": arguments.top}
    others = list(peers(shape))
    print(f"exact top {arguments.top} of {arguments.items} items x {arguments.dimensions} dimensions")
    for threads in arguments.threads:
        sgemm, seconds = measure(shape, threads, arguments.rounds, others, arguments.glta)
        print(f"\n{threads} thread{'s' if threads > 1 else ''}, sgemm of 1024^3 {sgemm:.0f} GFLOP/s")
        print(f"{'':18}{'batch':>6}{'ms a request':>14}{'of sgemm':>10}{'times ours':>12}")
        for batch in BATCHES:
            base = min(seconds["floats", batch], seconds["bytes", batch])
            for side in ["floats", "bytes", *(other.name for other in others)]:
                value = seconds[side, batch]
                rate = 2 * arguments.items * arguments.dimensions * batch / value / 1e9
                print(f"{side:18}{batch:6}{value / batch * 1e3:14.2f}{rate / sgemm:10.0%}{value / base:12.1f}")


main()
