#!/usr/bin/env python3
"""Compares the logits of a GGUF file with those of transformers' own reading of it.

    make build && .build/release/glta model fetch smollm2 --out .demo/smollm2
    python3 Tests/Peers/gguf_logits.py .demo/smollm2/FILE.gguf [--threads 2] [--within 1e-3]

Both sides get the same ids: a text in our tokens, and ids from all over the vocabulary. transformers widens the file's numbers
to f32 and computes in f32. Prints the largest difference, the same relative to the largest logit, and how often the best
tokens differ; fails where the text's largest difference, or the other ids' relative one, is beyond --within. Ids that make
no text are judged relatively since some of them have activations of thousands, of which f32 has fewer digits left.
Needs `pip install torch transformers gguf safetensors` (written with 2.15, 5.24, 0.19, 0.8).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "The library opens at nine. Whoever comes earlier waits in the garden, where 3 old plum trees stand; in March they are "
    "white, in August (if wasps leave any) their fruit is free for all. Inside, books are lent for 28 days.")


def ids(glta, model, vocabulary):
    command = [glta, "model", "tokenize", "--language-model", model]
    text = json.loads(subprocess.run(command, input=TEXT.encode(), capture_output=True, check=True).stdout)
    return {"text": text, "all over": [index * 7919 % vocabulary for index in range(200)]}


def ours(glta, model, tokens, threads):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "logits.safetensors"
        command = [glta, "model", "logits", model, "--ids", ",".join(map(str, tokens)), "--out", out]
        subprocess.run(command + ["--threads", str(threads)], check=True)
        return load_file(out)["logits"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--within", type=float, default=1e-3)
    parser.add_argument("--glta", type=Path, default=ROOT / ".build/release/glta")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    theirs = AutoModelForCausalLM.from_pretrained(
        options.model.parent, gguf_file=options.model.name, dtype=torch.float32).eval()
    print("| ids | tokens | largest difference | of the largest logit | best tokens that differ |")
    print("|---|---|---|---|---|")
    failed = False
    for name, tokens in ids(options.glta, options.model, theirs.config.vocab_size).items():
        with torch.inference_mode():
            expected = theirs(input_ids=torch.tensor([tokens])).logits[0]
        found = ours(options.glta, options.model, tokens, options.threads)
        difference = float((found - expected).abs().max())
        differing = int((found.argmax(-1) != expected.argmax(-1)).sum())
        relative = difference / float(expected.abs().max())
        print(f"| {name} | {len(tokens)} | {difference:.1e} | {relative:.1e} | {differing} |")
        # Not a number is beyond any bound.
        failed = failed or not (difference if name == "text" else relative) <= options.within
    sys.exit(failed)


if __name__ == "__main__":
    main()
