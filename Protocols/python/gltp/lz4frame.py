"""LZ4 frames as 4.2 demands them. Frames are read here block by block, so that every rule is checked before its bytes are used."""
from __future__ import annotations

import struct
from typing import Callable

import lz4.block  # type: ignore[import-untyped]
import numpy as np

from .errors import RuleError
from .xxh32 import xxh32

_MAGIC = b"\x04\x22\x4d\x18"
_FLG = 0x68  # version 01, independent blocks, content size; no checksums, no dictionary
_BLOCK_MAX = {0x40: 64 << 10, 0x50: 256 << 10, 0x60: 1 << 20}
_HEADER = 15
_STORED = 0x80000000


def decompress(frame: memoryview, raw_bytes: int, reserve: Callable[[int], None] = lambda size: None) -> np.ndarray:
    """The content of the one frame that `frame` must be, exactly `raw_bytes` bytes. `reserve` is asked before they are taken."""
    block_max = _check_header(frame, raw_bytes)
    reserve(raw_bytes)
    out = np.empty(raw_bytes, np.uint8)
    done = 0
    at = _HEADER
    while True:
        if at + 4 > len(frame):
            raise RuleError("lz4Truncated", "no end mark")
        (word,) = struct.unpack_from("<I", frame, at)
        at += 4
        if word == 0:
            break
        size = word & ~_STORED
        if size > block_max:
            raise RuleError("lz4Block", f"a block of {size} bytes, the frame allows {block_max}")
        if at + size > len(frame):
            raise RuleError("lz4Truncated", "a block is cut off")
        block = bytes(frame[at:at + size])
        at += size
        if not word & _STORED:
            try:
                # No more than one block's worth of memory, whatever the block claims.
                block = lz4.block.decompress(block, uncompressed_size=block_max)
            except lz4.block.LZ4BlockError:
                raise RuleError("lz4Block", "a block is no LZ4") from None
        if done + len(block) > raw_bytes:
            raise RuleError("lz4Output", f"more than {raw_bytes} bytes")
        out[done:done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
    if done != raw_bytes:
        raise RuleError("lz4Output", f"{done} bytes, {raw_bytes} were promised")
    if at != len(frame):
        raise RuleError("lz4Trailing", f"{len(frame) - at} bytes behind the end mark")
    return out


def _check_header(frame: memoryview, raw_bytes: int) -> int:
    """Checks the header and returns the largest size of a block."""
    if frame[:4] != _MAGIC:
        raise RuleError("lz4Magic", bytes(frame[:4]).hex())
    if frame[4:5] != bytes([_FLG]):
        raise RuleError("lz4Flags", f"FLG {bytes(frame[4:5]).hex()}")
    if len(frame) < _HEADER:
        raise RuleError("lz4Truncated", f"{len(frame)} bytes are no frame header")
    bd, size, check = struct.unpack_from("<BQB", frame, 5)
    if bd not in _BLOCK_MAX:
        raise RuleError("lz4BlockSize", f"BD {bd:02x}")
    if size != raw_bytes:
        raise RuleError("lz4ContentSize", f"{size}, the descriptor says {raw_bytes}")
    if check != xxh32(frame[4:14]) >> 8 & 0xFF:
        raise RuleError("lz4HeaderChecksum", f"{check:02x}")
    return _BLOCK_MAX[bd]


def compress(raw: bytes | memoryview, *, store: bool = False) -> bytes:
    """One frame of `raw`. With `store` nothing is tried: floats do not get smaller (4.2)."""
    bd = next((bd for bd, size in _BLOCK_MAX.items() if len(raw) <= size), 0x60)
    descriptor = struct.pack("<BBQ", _FLG, bd, len(raw))
    out = [_MAGIC, descriptor, bytes([xxh32(descriptor) >> 8 & 0xFF])]
    for at in range(0, len(raw), _BLOCK_MAX[bd]):
        block = bytes(raw[at:at + _BLOCK_MAX[bd]])
        packed = block if store else lz4.block.compress(block, store_size=False)
        if len(packed) < len(block):
            out += [struct.pack("<I", len(packed)), packed]
        else:
            out += [struct.pack("<I", _STORED | len(block)), block]
    return b"".join(out) + bytes(4)


def shuffle(raw: np.ndarray, width: int) -> np.ndarray:
    """Byte j of element i moves to position j x n + i."""
    return np.ascontiguousarray(raw.reshape(-1, width).T).reshape(-1)


def unshuffle(data: np.ndarray, width: int) -> np.ndarray:
    return np.ascontiguousarray(data.reshape(width, -1).T).reshape(-1)
