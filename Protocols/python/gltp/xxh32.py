"""XXH32 with seed 0, and the tree of it over payloads (3.7)."""
from __future__ import annotations

import struct
from typing import Any, Callable

import numpy as np

_native: Callable[[Any], int] | None
try:  # Faster, with the same results; nothing needs it.
    from xxhash import xxh32_intdigest as _native
except ImportError:
    _native = None

LEAF = 512
_P1, _P2, _P3, _P4, _P5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
_MASK = 0xFFFFFFFF
_START = ((_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK)
_BATCH = 8192  # leaves hashed side by side: their accumulators stay in the cache


def _rotl(x: int, r: int) -> int:
    return (x << r | x >> 32 - r) & _MASK


def xxh32_plain(data: bytes) -> int:
    """XXH32 in Python alone."""
    n = len(data)
    stripes = n // 16
    if stripes:
        a, b, c, d = _START
        for w, x, y, z in struct.iter_unpack("<4I", data[:16 * stripes]):
            a = _rotl(a + w * _P2 & _MASK, 13) * _P1 & _MASK
            b = _rotl(b + x * _P2 & _MASK, 13) * _P1 & _MASK
            c = _rotl(c + y * _P2 & _MASK, 13) * _P1 & _MASK
            d = _rotl(d + z * _P2 & _MASK, 13) * _P1 & _MASK
        h = _rotl(a, 1) + _rotl(b, 7) + _rotl(c, 12) + _rotl(d, 18)
    else:
        h = _P5
    h = h + n & _MASK
    words = n // 4 * 4
    for (w,) in struct.iter_unpack("<I", data[16 * stripes:words]):
        h = _rotl(h + w * _P3 & _MASK, 17) * _P4 & _MASK
    for byte in data[words:]:
        h = _rotl(h + byte * _P5 & _MASK, 11) * _P1 & _MASK
    h = (h ^ h >> 15) * _P2 & _MASK
    h = (h ^ h >> 13) * _P3 & _MASK
    return h ^ h >> 16


def xxh32(data: bytes | bytearray | memoryview) -> int:
    """XXH32, seed 0."""
    return _native(data) if _native else xxh32_plain(bytes(data))


def _leaves(words: Any) -> Any:
    """The XXH32 of many whole leaves at once; `words` is u32 [leaves, 32 stripes, 4 lanes]."""
    def rotl(x: Any, r: int) -> Any:
        return x << np.uint32(r) | x >> np.uint32(32 - r)

    p1, p2, p3 = np.uint32(_P1), np.uint32(_P2), np.uint32(_P3)
    acc = np.tile(np.array(_START, np.uint32), (len(words), 1))
    for stripe in range(words.shape[1]):
        acc += words[:, stripe] * p2
        acc = rotl(acc, 13) * p1
    h = rotl(acc[:, 0], 1) + rotl(acc[:, 1], 7) + rotl(acc[:, 2], 12) + rotl(acc[:, 3], 18) + np.uint32(LEAF)
    h = (h ^ h >> np.uint32(15)) * p2
    h = (h ^ h >> np.uint32(13)) * p3
    return h ^ h >> np.uint32(16)


def payload_xxh32(part: bytes | bytearray | memoryview, *, native: bool = True) -> int:
    """payload_xxh32: XXH32 of one leaf, or of the XXH32 values of the leaves of 512 bytes."""
    part = memoryview(part).cast("B")
    one = xxh32 if native else lambda data: xxh32_plain(bytes(data))
    if len(part) <= LEAF:
        return one(part)
    if native and _native:
        return one(struct.pack(f"<{-(-len(part) // LEAF)}I", *(_native(part[at:at + LEAF]) for at in range(0, len(part), LEAF))))
    whole = len(part) // LEAF
    words = np.frombuffer(part[:whole * LEAF], "<u4").reshape(whole, LEAF // 16, 4)
    digests = b"".join(_leaves(words[at:at + _BATCH]).astype("<u4").tobytes() for at in range(0, whole, _BATCH))
    if len(part) % LEAF:
        digests += struct.pack("<I", one(part[whole * LEAF:]))
    return one(digests)
