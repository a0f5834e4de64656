#!/usr/bin/env python3
"""How fast a decoder reads a prompt and goes on with it: ours in every precision, llama.cpp and PyTorch, in one run.

    make build && .build/release/glta model fetch smollm2 --out .demo/smollm2
    python3 Tests/Peers/decoders.py --model .demo/smollm2/FILE.gguf [--threads 1 2] [--rounds 3]

One sequence, its prompt in one go, then tokens one by one, the best each time; both sides compute the logits that they
choose from. Rounds of the sides alternate, since the machine may be shared, and each side keeps its best. llama.cpp rounds
what it multiplies with to bytes, as our int8 does; stored and f32 do not. PyTorch has the file's numbers in f32.
Needs `pip install llama-cpp-python torch transformers gguf` (written with 0.3.36, 2.15, 5.24, 0.19; build the first one on
the machine itself, `CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary :all: llama-cpp-python`, so that it uses the
processor's vectors); a peer that is missing is left out and named.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRECISIONS = ["stored", "f32", "bf16", "int8"]


class Ours:
    def __init__(self, glta, model, precision):
        self.name = f"glta, {precision}"
        self.command = [glta, "model", "benchmark", model, "--generation", "--json", "--precision", precision]

    def rates(self, threads, prompt, tokens):
        sizes = ["--threads", str(threads), "--prompt-tokens", str(prompt), "--new-tokens", str(tokens)]
        report = json.loads(subprocess.run(self.command + sizes, check=True, capture_output=True, timeout=600).stdout)
        return report["prefill_tokens_per_second"], report["decode_tokens_per_second"]


class LlamaCpp:
    def __init__(self, model):
        import llama_cpp
        import numpy

        self.library, self.numpy = llama_cpp, numpy
        self.name = f"llama.cpp ({llama_cpp.__version__})"
        # What it says while it loads is for its developers.
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, None)
        llama_cpp.llama_backend_init()
        self.features = llama_cpp.llama_print_system_info().decode()
        self.model = llama_cpp.llama_model_load_from_file(str(model).encode(), llama_cpp.llama_model_default_params())
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def decode(self, context, ids):
        """The best token behind some more."""
        tokens = (self.library.llama_token * len(ids))(*ids)
        if self.library.llama_decode(context, self.library.llama_batch_get_one(tokens, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")
        logits = self.library.llama_get_logits_ith(context, -1)
        return int(self.numpy.ctypeslib.as_array(logits, shape=(self.vocabulary,)).argmax())

    def rates(self, threads, prompt, tokens):
        options = self.library.llama_context_default_params()
        options.n_ctx, options.n_batch = prompt + tokens + 1, prompt
        options.n_threads = options.n_threads_batch = threads
        context = self.library.llama_init_from_model(self.model, options)
        try:
            return best_rates(
                prompt, tokens, lambda: self.library.llama_memory_clear(self.library.llama_get_memory(context), True),
                lambda ids: self.decode(context, ids), self.vocabulary)
        finally:
            self.library.llama_free(context)


class PyTorch:
    def __init__(self, model):
        import torch
        from transformers import AutoModelForCausalLM

        self.torch = torch
        self.name = f"PyTorch, f32 ({torch.__version__})"
        self.model = AutoModelForCausalLM.from_pretrained(
            model.parent, gguf_file=model.name, dtype=torch.float32).eval()
        self.cache = None

    def forget(self):
        self.cache = None

    def decode(self, ids):
        with self.torch.inference_mode():
            result = self.model(
                input_ids=self.torch.tensor([ids]), past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.cache = result.past_key_values
        return int(result.logits[0, -1].argmax())

    def rates(self, threads, prompt, tokens):
        self.torch.set_num_threads(threads)
        return best_rates(prompt, tokens, self.forget, self.decode, self.model.config.vocab_size)


def best_rates(prompt, tokens, forget, decode, vocabulary, repetitions=3):
    """As `GenerationBenchmark.run` has it: tokens a second of the prompt and behind it, after a run that does not count."""
    ids = [index * 7919 % vocabulary for index in range(prompt)]
    best = [float("inf")] * 2
    for repetition in range(repetitions + 1):
        forget()
        started = time.perf_counter()
        token = decode(ids)
        first = time.perf_counter()
        for _ in range(tokens):
            token = decode([token])
        if repetition > 0:
            best = [min(best[0], first - started), min(best[1], time.perf_counter() - first)]
    return prompt / best[0], tokens / best[1]


def peers(model, wanted):
    result = []
    for kind in [LlamaCpp, PyTorch]:
        if kind.__name__ not in wanted:
            continue
        try:
            result.append(kind(model))
        except ImportError as error:
            print(f"{kind.__name__} is not measured: {error}")
    return result


def measure(sides, threads, options):
    best = {side.name: (0.0, 0.0) for side in sides}
    for _ in range(options.rounds):
        for side in sides:
            rates = side.rates(threads, options.prompt, options.tokens)
            best[side.name] = tuple(map(max, best[side.name], rates))
    return best


def report(threads, best):
    llama = next((rates for name, rates in best.items() if name.startswith("llama.cpp")), None)
    f32 = best.get("glta, f32")
    print(f"\n| {threads} thread{'s' if threads > 1 else ''} | prefill | of llama.cpp | of our f32 | decode | of llama.cpp |")
    print("|---|---|---|---|---|---|")

    def ratio(rates, other, index):
        return f"{rates[index] / other[index]:.2f}" if other else ""

    for name, rates in best.items():
        cells = [
            f"{rates[0]:.0f}", ratio(rates, llama, 0), ratio(rates, f32, 0), f"{rates[1]:.1f}", ratio(rates, llama, 1)]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=64, help="tokens behind it")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--peers", nargs="*", default=["LlamaCpp", "PyTorch"])
    parser.add_argument("--glta", type=Path, default=ROOT / ".build/release/glta")
    options = parser.parse_args()

    sides = peers(options.model, options.peers)
    for side in sides:
        if isinstance(side, LlamaCpp):
            print(side.name, side.features)
    sides = [Ours(options.glta, options.model, precision) for precision in options.precisions] + sides
    print(f"{options.model.name}, a prompt of {options.prompt} tokens and {options.tokens} behind it; tokens a second, best "
          f"of {options.rounds} alternating rounds")
    for threads in options.threads:
        report(threads, measure(sides, threads, options))


if __name__ == "__main__":
    main()
