#!/usr/bin/env python3
"""Compares our tokenizers with Hugging Face's on every title, description and category list of real data sets.

    make build
    python3 Tests/Peers/tokenizer.py --data DIR --models MODEL [MODEL ...] [--glta .build/release/glta]

--data names the folder of data sets, each with an items.tsv.gz; a MODEL is a directory with a tokenizer.json, or a GGUF
file, which transformers reads by itself. Prints the lines, the ids and the lines that differ, and the seconds of either
side; fails where a line differs. Needs `pip install tokenizers transformers gguf` (written with 0.23.3, 5.24, 0.19).
"""

import argparse
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["title", "description", "categories"]


def lines(folder):
    """The distinct texts of all data sets."""
    texts = {}
    for path in sorted(Path(folder).glob("*/items.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            head = file.readline().rstrip("\n").split("\t")
            wanted = [head.index(name) for name in COLUMNS]
            for line in file:
                cells = line.rstrip("\n").split("\t")
                texts.update((cells[index], None) for index in wanted if index < len(cells))
    return list(texts)


def ours(glta, model, texts):
    started = time.perf_counter()
    command = [glta, "model", "tokenize", "--language-model", model]
    result = subprocess.run(command, input="\n".join(texts).encode() + b"\n", stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()], time.perf_counter() - started


def restore_digits(path, tokenizer):
    """transformers 5.24 takes every GGUF file's words for GPT-2's; SmolLM2's own tokenizer.json cuts out digits first."""
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(path).get_field("tokenizer.ggml.pre")
    if field and field.contents() == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)


def theirs(model, texts):
    path = Path(model)
    if path.suffix == ".gguf":
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).backend_tokenizer
        restore_digits(path, tokenizer)
    else:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    started = time.perf_counter()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    return ids, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--glta", default=ROOT / ".build/release/glta")
    options = parser.parse_args()

    texts = lines(options.data)
    print("| tokenizer | lines | ids | lines that differ | ours, s | theirs, s |")
    print("|---|---|---|---|---|---|")
    failed = False
    for model in options.models:
        expected, their_seconds = theirs(model, texts)
        found, our_seconds = ours(options.glta, model, texts)
        differing = [text for text, a, b in zip(texts, expected, found) if a != b]
        failed = failed or bool(differing) or len(found) != len(texts)
        count = sum(map(len, found))
        print(f"| {Path(model).name} | {len(texts)} | {count} | {len(differing)} | {our_seconds:.2f} | {their_seconds:.2f} |")
        for text in differing[:5]:
            print("  ", ascii(text), file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
