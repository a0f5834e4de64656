#!/usr/bin/env python3
"""Makes a tiny GGUF with tensors of every supported type and what they stand for, under Tests/Golden/gguf.

    python3 Tests/Golden/gguf_golden.py

    types.gguf          a tensor of each type, 3 x 512, named as its type; metadata of every kind
    types.safetensors   the same tensors as f32, by gguf.quants.dequantize, the reference of the gguf package

Blocks are random bytes with scales of usual sizes: what is judged is reading, not rounding.
Needs `pip install gguf safetensors` (written with gguf 0.19).
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quant_shape_to_byte_shape
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent / "gguf"
ROWS, COLUMNS = 3, 512
# Where scales, of two bytes, lie in a block.
SCALES = {
    Kind.Q4_0: [0], Kind.Q4_1: [0, 2], Kind.Q5_0: [0], Kind.Q5_1: [0, 2], Kind.Q8_0: [0],
    Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2], Kind.Q6_K: [208],
}


def random_blocks(random, kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    shape = quant_shape_to_byte_shape((ROWS, COLUMNS), kind)
    blocks = random.integers(0, 256, (ROWS * COLUMNS // block, size), dtype=np.uint8)
    for offset in SCALES[kind]:
        scales = (random.standard_normal(len(blocks)) * 0.02).astype(np.float16)
        # The least and the largest numbers of the format, too.
        scales[0], scales[1] = np.float16(6e-8), np.float16(-65504)
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(shape)


def main():
    FOLDER.mkdir(exist_ok=True)
    random = np.random.default_rng(20260101)
    writer = gguf.GGUFWriter(FOLDER / "types.gguf", "llama")
    writer.add_block_count(2)
    writer.add_uint8("test.u8", 255)
    writer.add_int8("test.i8", -128)
    writer.add_uint16("test.u16", 65535)
    writer.add_int16("test.i16", -32768)
    writer.add_uint32("test.u32", 4294967295)
    writer.add_int32("test.i32", -2147483648)
    writer.add_uint64("test.u64", 18446744073709551615)
    writer.add_int64("test.i64", -9223372036854775808)
    writer.add_float32("test.f32", 1.25)
    writer.add_float64("test.f64", 0.1)
    writer.add_bool("test.yes", True)
    writer.add_bool("test.no", False)
    writer.add_string("test.text", "Grüße, 世界")
    writer.add_array("test.texts", ["", "a", "▁the"])
    writer.add_array("test.numbers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -1.5])
    writer.add_array("test.nested", [[1, 2], [3]])
    expected = {}
    for kind in (Kind.F32, Kind.F16, Kind.BF16, *SCALES):
        if kind == Kind.F32:
            data = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
        elif kind == Kind.F16:
            data = random.standard_normal((ROWS, COLUMNS)).astype(np.float16)
        elif kind == Kind.BF16:
            floats = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
            data = gguf.quants.quantize(floats, kind)
        else:
            data = random_blocks(random, kind)
        expected[kind.name] = np.ascontiguousarray(dequantize(data, kind).astype(np.float32).reshape(ROWS, COLUMNS))
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, FOLDER / "types.safetensors")


if __name__ == "__main__":
    main()
