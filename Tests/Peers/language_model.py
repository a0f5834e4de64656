#!/usr/bin/env python3
"""How fast a frozen BERT runs: ours, PyTorch's, and this machine's own matrix product, in one run.

    make build && .build/release/glta model fetch minilm --out .demo/minilm
    python3 Tests/Peers/language_model.py [--model .demo/minilm] [--threads 1 2] [--rounds 3]

Shapes are 1 x 128 and 16 x 128 tokens; work is a forward pass from input embeddings, and one with the backward pass to
them. Both sides count the same operations: products of weights and of attention, twice for forward and backward. Rounds
of the two sides alternate, since the machine may be shared, and each side keeps its best. Needs `pip install torch
transformers`; without them PyTorch's column says so.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHAPES = [(1, 128), (16, 128)]


def operations(config, batch, tokens):
    """Operations of one forward pass, as `ModelBenchmark.operations` has them."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    layer = 2 * tokens * (4 * hidden * hidden + 2 * hidden * inner) + 4 * tokens * tokens * hidden
    return batch * config["num_hidden_layers"] * layer


def ours(model, threads):
    command = [ROOT / ".build/release/glta", "model", "benchmark", model, "--threads", str(threads), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)


def best_time(work, seconds=1.0):
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


class PyTorch:
    def __init__(self, model):
        import torch
        from transformers import BertModel

        self.torch = torch
        self.version = torch.__version__
        self.model = BertModel.from_pretrained(model, add_pooling_layer=False).eval().requires_grad_(False)

    def seconds(self, threads, batch, tokens, backward):
        torch = self.torch
        torch.set_num_threads(threads)
        width = self.model.config.hidden_size
        embeds = torch.randn(batch, tokens, width, requires_grad=backward)
        gradient = torch.full((batch, tokens, width), 0.01)

        def forward():
            with torch.inference_mode():
                self.model(inputs_embeds=embeds)

        def forward_backward():
            embeds.grad = None
            self.model(inputs_embeds=embeds).last_hidden_state.backward(gradient)

        return best_time(forward_backward if backward else forward)


def measure(model, config, threads, rounds, peer):
    sgemm, rates = 0.0, {}

    def keep(side, work, rate):
        rates[side, work] = max(rate, rates.get((side, work), 0.0))

    for _ in range(rounds):
        report = ours(model, threads)
        sgemm = max(sgemm, report["sgemm_gflops"])
        for case in report["cases"]:
            shape = (case["batch"], case["tokens"])
            keep("glta", (shape, False), case["forward_gflops"])
            keep("glta", (shape, True), case["forward_backward_gflops"])
        for shape in SHAPES if peer else []:
            for backward in (False, True):
                work = operations(config, *shape) * (2 if backward else 1)
                keep("torch", (shape, backward), work / peer.seconds(threads, *shape, backward) / 1e9)
    return sgemm, rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / ".demo/minilm")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = json.loads((arguments.model / "config.json").read_text())
    try:
        peer = PyTorch(arguments.model)
        print(f"PyTorch {peer.version}; rates in GFLOP/s, best of {arguments.rounds} alternating rounds")
    except ImportError as error:
        peer = None
        print(f"PyTorch is not measured: {error}")
    for threads in arguments.threads:
        sgemm, rates = measure(arguments.model, config, threads, arguments.rounds, peer)
        print(f"\n{threads} thread{'s' if threads > 1 else ''}, sgemm of 1024^3 {sgemm:.0f}")
        print(f"{'':24}{'glta':>8}{'of sgemm':>10}{'PyTorch':>9}{'ratio':>7}")
        for shape in SHAPES:
            for backward in (False, True):
                rate, torch = rates["glta", (shape, backward)], rates.get(("torch", (shape, backward)))
                name = f"{shape[0]} x {shape[1]} forward" + ("+backward" if backward else "")
                peers = f"{torch:9.0f}{rate / torch:7.2f}" if torch else f"{'-':>9}{'-':>7}"
                print(f"{name:24}{rate:8.0f}{rate / sgemm:10.0%}{peers}")


main()
