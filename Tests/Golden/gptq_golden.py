#!/usr/bin/env python3
"""Makes tiny linear layers as GPTQ stores them and the weights that they stand for, under Tests/Golden/gptq.

    python3 Tests/Golden/gptq_golden.py

    v1/, v2/        a directory each: config.json with quantization_config, model.safetensors with layers x, and
                    expected.safetensors with x.weight, f32 [out, in], by a plain reading of the format

The layers: `groups` (32 inputs a group), `whole` (one group), `reordered` (g_idx of activation order) and `implied`
(no g_idx). Needs `pip install numpy safetensors`.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent / "gptq"
INPUTS, OUTPUTS, GROUP = 96, 40, 32


def pack(values, axis):
    """Eight numbers of four bits in an i32, the first in the lowest bits."""
    values = np.moveaxis(values, axis, 0).astype(np.uint32)
    words = np.zeros((values.shape[0] // 8, *values.shape[1:]), np.uint32)
    for place in range(8):
        words |= values[place::8] << np.uint32(4 * place)
    return np.ascontiguousarray(np.moveaxis(words.view(np.int32), 0, axis))


def make(random, offset, group_of):
    groups = int(group_of.max()) + 1
    codes = random.integers(0, 16, (INPUTS, OUTPUTS))
    # In the first version a stored zero is one less than what it stands for.
    stored = random.integers(0, 16, (groups, OUTPUTS))
    scales = (random.standard_normal((groups, OUTPUTS)) * 0.02).astype(np.float16)
    expected = np.zeros((OUTPUTS, INPUTS), np.float32)
    for i in range(INPUTS):
        group = group_of[i]
        expected[:, i] = scales[group].astype(np.float32) * (codes[i] - (stored[group] + offset)).astype(np.float32)
    tensors = {"qweight": pack(codes, 0), "qzeros": pack(stored, 1), "scales": scales}
    return tensors, expected


def main():
    for name, offset, form in [("v1", 1, "gptq"), ("v2", 0, "gptq_v2")]:
        random = np.random.default_rng(20260102 + offset)
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        in_order = np.arange(INPUTS) // GROUP
        layers = {
            "groups": (in_order, True),
            "whole": (np.zeros(INPUTS, int), True),
            "reordered": (random.permutation(in_order), True),
            "implied": (in_order, False),
        }
        tensors, expected = {}, {}
        for layer, (group_of, has_index) in layers.items():
            parts, weight = make(random, offset, group_of)
            tensors |= {f"{layer}.{part}": value for part, value in parts.items()}
            if has_index:
                tensors[f"{layer}.g_idx"] = group_of.astype(np.int32)
            expected[f"{layer}.weight"] = weight
        tensors["groups.bias"] = np.zeros(OUTPUTS, np.float16)
        tensors["whole.bias"] = np.ones(OUTPUTS, np.float16)
        tensors["float.weight"] = random.standard_normal((OUTPUTS, INPUTS)).astype(np.float16)
        expected["float.weight"] = tensors["float.weight"].astype(np.float32)
        config = {
            "model_type": "llama",
            "quantization_config": {
                "bits": 4, "group_size": GROUP, "desc_act": True, "sym": False, "quant_method": "gptq",
                "checkpoint_format": form,
            },
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_file(tensors, folder / "model.safetensors")
        save_file(expected, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
