"""The registries of GLTP/1: kinds, flags, stages, streams, statuses, dtypes, codecs and tensors (3.3, 4, 5.1, 9)."""
from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np


class Kind(IntEnum):
    HELLO = 1
    WELCOME = 2
    REJECT = 3
    PING = 4
    PONG = 5
    CREDIT = 6
    DRAIN = 7
    BYE = 8
    REQUEST = 16
    INPUT = 17
    PARTIAL = 18
    END = 19
    CANCEL = 20
    ACK = 21
    STATUS = 32
    REPORT = 33


class Flag(IntFlag):
    FINAL = 0x01
    PROVISIONAL = 0x02
    INCOMPLETE = 0x04
    STREAM = 0x08
    TITLES = 0x10
    RETRY = 0x20
    CANARY = 0x40


class Stage(IntEnum):
    NONE = 0
    ENCODER = 1
    ALIGNER = 2
    RANKER = 3


class Stream(IntEnum):
    NONE = 0
    INSTRUCTION = 1
    CANDIDATES = 2
    RANKING = 3


class Role(IntEnum):
    CLIENT = 1
    GATEWAY = 2
    ENCODER = 3
    ALIGNER = 4
    RANKER = 5


class Mode(IntEnum):
    SLOTS = 1
    FIRST = 2
    AUTOREGRESSIVE = 3


class Priority(IntEnum):
    BATCH = 0
    NORMAL = 1
    HIGH = 2


class Status(IntEnum):
    OK = 0
    DEADLINE = 1
    CANCELLED = 2
    OVERLOADED = 3
    NO_WORKER = 4
    BAD_REQUEST = 5
    UNSUPPORTED = 6
    BUNDLE_GONE = 7
    POISONED = 8
    INTERNAL = 9
    UNKNOWN_USER = 10
    UNKNOWN_ITEM = 11
    NOT_ENOUGH_ITEMS = 12
    CORRUPT = 13
    SEQUENCE_GAP = 14
    DRAINING = 15
    STALLED = 16
    VERSION = 32
    UNKNOWN_SESSION = 33
    UNAUTHORIZED = 34
    PROTOCOL = 35
    EXPIRED = 36


def status_of(code: int) -> Status | int:
    """The status of a code; a code of a later version stays a number."""
    try:
        return Status(code)
    except ValueError:
        return code


class Codec(IntEnum):
    RAW = 0
    LZ4 = 1
    SHUFFLED = 2


@dataclass(frozen=True)
class DType:
    code: int
    name: str
    size: int
    numpy: np.dtype
    """How `Tensor.array` shows it. numpy has no BF16: its 16 bits are shown as they are."""


def _dtypes() -> list[DType]:
    rows = [(1, "F32", "<f4"), (2, "F16", "<f2"), (3, "BF16", "<u2"), (4, "I8", "i1"), (5, "U8", "u1"), (6, "I32", "<i4"),
            (7, "U32", "<u4"), (8, "I64", "<i8"), (9, "U64", "<u8"), (10, "F64", "<f8"), (11, "BOOL", "u1"), (12, "I16", "<i2"),
            (13, "U16", "<u2")]
    return [DType(code, name, np.dtype(text).itemsize, np.dtype(text)) for code, name, text in rows]


DTYPES = {dtype.name: dtype for dtype in _dtypes()}
DTYPE_OF_CODE = {dtype.code: dtype for dtype in DTYPES.values()}
FLOATS = frozenset({"F32", "F16", "BF16", "F64"})


@dataclass(frozen=True)
class TensorRule:
    """What 4.3 says of a tensor."""
    id: int
    name: str
    dtype: str
    rank: int = 1
    minimum: int = 0
    """The least extent of the first dimension."""
    maximum: int | None = None
    strings: bool = False


TENSORS = {rule.id: rule for rule in [
    TensorRule(1, "user_vector", "F32"),
    TensorRule(2, "history", "I32"),
    TensorRule(3, "subject_items", "I32"),
    TensorRule(4, "candidate_ids", "I32", minimum=1, maximum=20_000),
    TensorRule(5, "candidate_prior", "F32"),
    TensorRule(6, "token_ids", "I32", minimum=1),
    TensorRule(7, "soft_tokens", "BF16", rank=2),
    TensorRule(8, "soft_positions", "I32"),
    TensorRule(9, "slot_positions", "I32", minimum=1),
    TensorRule(16, "request_items", "U8", strings=True),
    TensorRule(17, "request_candidates", "U8", strings=True),
    TensorRule(18, "request_exclude", "U8", strings=True),
    TensorRule(19, "request_allow", "U8", strings=True),
    TensorRule(32, "ranking_items", "U8", strings=True),
    TensorRule(33, "ranking_scores", "F32"),
    TensorRule(34, "ranking_titles", "U8", strings=True),
    TensorRule(48, "report", "U8", maximum=256 << 10),
]}
TENSOR_ID = {rule.name: rule.id for rule in TENSORS.values()}
EQUAL_EXTENTS = [(4, 5), (7, 8)]
"""Tensors whose first extents must agree. Those of a ranking are compared with its strings (8.2, contents)."""

PRIVATE = 0xF000
"""From here on TLV kinds and tensor ids are for private use."""


def is_private(code: int) -> bool:
    return code >= PRIVATE
