#!/usr/bin/env python3
"""Writes a random checkpoint of Llama-2-7B's shape in GPTQ's four bits (about 3.9 GB), with a made-up tokenizer.

    python3 Tests/Peers/make_gptq_llama.py FOLDER [--layers 32] [--act-order]

For measurements of memory and time: the numbers are random, their sizes are those of a real model, so that hidden
states stay finite. The folder has what a directory of Hugging Face has: config.json, two .safetensors with their index, and a
tokenizer.json of 32,000 pieces. Needs `pip install numpy`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

HIDDEN, INNER, HEADS, VOCABULARY, GROUP = 4096, 11008, 32, 32_000, 128
CODES = {"I32": np.int32, "F16": np.float16}


def layer_tensors(index):
    """Names, types and shapes of a layer's tensors."""
    for name, outputs, inputs in [
        ("self_attn.q_proj", HIDDEN, HIDDEN), ("self_attn.k_proj", HIDDEN, HIDDEN),
        ("self_attn.v_proj", HIDDEN, HIDDEN), ("self_attn.o_proj", HIDDEN, HIDDEN),
        ("mlp.gate_proj", INNER, HIDDEN), ("mlp.up_proj", INNER, HIDDEN), ("mlp.down_proj", HIDDEN, INNER),
    ]:
        prefix = f"model.layers.{index}.{name}."
        yield prefix + "qweight", "I32", (inputs // 8, outputs)
        yield prefix + "qzeros", "I32", (inputs // GROUP, outputs // 8)
        yield prefix + "scales", "F16", (inputs // GROUP, outputs)
        yield prefix + "g_idx", "I32", (inputs,)
    for name in ["input_layernorm", "post_attention_layernorm"]:
        yield f"model.layers.{index}.{name}.weight", "F16", (HIDDEN,)


def outer_tensors():
    yield "model.embed_tokens.weight", "F16", (VOCABULARY, HIDDEN)
    yield "model.norm.weight", "F16", (HIDDEN,)
    yield "lm_head.weight", "F16", (VOCABULARY, HIDDEN)


def values(random, name, kind, shape, act_order):
    if name.endswith("qweight"):
        return random.integers(-(2**31), 2**31, shape, dtype=np.int32)
    if name.endswith("qzeros"):
        # Seven stands for eight in the first version of the format: codes on both sides of it.
        return np.full(shape, 0x77777777, np.int32)
    if name.endswith("g_idx"):
        groups = np.arange(shape[0], dtype=np.int32) // GROUP
        return random.permutation(groups) if act_order else groups
    if name.endswith("scales"):
        # Codes less eight have a spread of 4.6; the spread of a real weight is about 0.02.
        return (random.random(shape, dtype=np.float32) * 0.002 + 0.003).astype(np.float16)
    if "norm" in name:
        return np.ones(shape, np.float16)
    return (random.standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float16)


def write(path, tensors, random, act_order):
    """Streams a safetensors file: one tensor in memory at a time."""
    header, offset = {}, 0
    for name, kind, shape in tensors:
        size = int(np.prod(shape)) * np.dtype(CODES[kind]).itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, kind, shape in tensors:
            file.write(values(random, name, kind, shape, act_order).astype(CODES[kind]).tobytes())
    return offset


def tokenizer():
    """Byte pairs with byte fallback, as Llama 2 has them: 256 bytes, letters, and made-up words of merged letters."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    letters = ["▁"] + list("etaoinshrdlcumwfgypbvkjxqzETAOINSHRDLCUMWFGYPBVKJXQZ0123456789.,:;!?'\"()-&/")
    pieces += letters
    known, merges = dict.fromkeys(pieces), []
    # Every piece is a merge of two that stand before it.
    words = list(letters)
    for left in range(1 << 20):
        if len(known) == VOCABULARY:
            break
        for right in letters[1:27]:
            merged = words[left] + right
            if merged not in known and len(known) < VOCABULARY:
                known[merged] = None
                words.append(merged)
                merges.append([words[left], right])
    special = [
        {"id": index, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for index, text in enumerate(["<unk>", "<s>", "</s>"])
    ]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {piece: index for index, piece in enumerate(known)}, "merges": merges},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--act-order", action="store_true", help="inputs of a group stand anywhere")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    layers = [tensor for index in range(options.layers) for tensor in layer_tensors(index)]
    half = len(layers) // 2
    shards = {"model-00001-of-00002.safetensors": layers[:half],
              "model-00002-of-00002.safetensors": layers[half:] + list(outer_tensors())}
    total = sum(write(options.folder / name, tensors, random, options.act_order) for name, tensors in shards.items())
    places = {tensor[0]: name for name, tensors in shards.items() for tensor in tensors}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (options.folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "hidden_act": "silu",
        "intermediate_size": INNER, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
        "num_hidden_layers": options.layers, "vocab_size": VOCABULARY, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "float16",
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": options.act_order,
                                "sym": True, "checkpoint_format": "gptq"},
    }
    (options.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (options.folder / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False))
    print(f"{options.folder}: {total / 1e9:.2f} GB of tensors")


if __name__ == "__main__":
    main()
