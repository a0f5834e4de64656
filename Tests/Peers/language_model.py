#!/usr/bin/env python3
"""How fast a frozen language model runs: ours, PyTorch's, and this machine's own matrix product, in one run.

    make build && .build/release/glta model fetch minilm --out .demo/minilm
    python3 Tests/Peers/language_model.py [--model .demo/minilm] [--threads 1 2] [--rounds 3]
    python3 Tests/Peers/language_model.py --shape smollm2-135m

A model is a Hugging Face directory of a BERT or of a decoder; --shape makes one of random weights in a temporary folder,
since time does not depend on them.
Shapes are 1 x 128 and 16 x 128 tokens; work is a forward pass from input embeddings, and one with the backward pass to
them. Both sides count the same operations: products of weights and of attention (for decoders, those that the causal mask
leaves), twice for forward and backward. Rounds
of the two sides alternate, since the machine may be shared, and each side keeps its best. Needs `pip install torch
transformers`; without them PyTorch's column says so.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHAPES = [(1, 128), (16, 128)]


# Shapes of decoders that many have: hidden, layers, heads, key and value heads, inner.
DECODERS = {
    "smollm2-135m": (576, 30, 9, 3, 1536),
    "smollm2-360m": (960, 32, 15, 5, 2560),
    "tinyllama-1.1b": (2048, 22, 32, 4, 5632),
}


def make_decoder(name, folder):
    """A decoder of random weights. Its vocabulary is small: embeddings are given, and nobody asks for logits."""
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, layers, heads, key_heads, inner = DECODERS[name]
    config = LlamaConfig(
        vocab_size=4096, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_heads, intermediate_size=inner, max_position_embeddings=2048, tie_word_embeddings=True)
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="100GB")
    return folder


def operations(config, batch, tokens):
    """Operations of one forward pass, as `LanguageModel.operations` has them."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    if config["model_type"] == "bert":
        layer = 2 * tokens * (4 * hidden * hidden + 2 * hidden * inner) + 4 * tokens * tokens * hidden
    else:
        columns = config.get("head_dim") or hidden // config["num_attention_heads"]
        queries, keys = (columns * config[f"num_{kind}_heads"] for kind in ("attention", "key_value"))
        weights = 2 * hidden * (queries + keys) + 3 * hidden * inner
        layer = 2 * tokens * weights + 2 * tokens * (tokens + 1) * queries
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
        from transformers import AutoModel

        self.torch = torch
        self.version = torch.__version__
        # As transformers has it by default: attention by PyTorch's own fused function.
        self.model = AutoModel.from_pretrained(model, dtype=torch.float32).eval().requires_grad_(False)
        # A cache that nobody reads would cost decoders time.
        self.options = {} if self.model.config.model_type == "bert" else {"use_cache": False}

    def seconds(self, threads, batch, tokens, backward):
        torch = self.torch
        torch.set_num_threads(threads)
        width = self.model.config.hidden_size
        embeds = torch.randn(batch, tokens, width, requires_grad=backward)
        gradient = torch.full((batch, tokens, width), 0.01)

        def forward():
            with torch.inference_mode():
                self.model(inputs_embeds=embeds, **self.options)

        def forward_backward():
            embeds.grad = None
            self.model(inputs_embeds=embeds, **self.options).last_hidden_state.backward(gradient)

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
    parser.add_argument("--shape", choices=DECODERS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.shape:
            arguments.model = make_decoder(arguments.shape, Path(folder))
        report(arguments)


def report(arguments):
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
