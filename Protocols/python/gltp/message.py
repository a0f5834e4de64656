"""Messages as values: a header, TLVs by name and tensors."""
from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

import numpy as np

from .errors import EncodeError, RuleError
from .registry import DTYPES, TENSOR_ID, Kind, Status, status_of

MAX_STRINGS = 65_536
MAX_STRING = 512


@dataclass
class Header:
    """The 64 bytes before the TLVs, without magic, version, counts and checksum, which the codec writes."""
    kind: int
    flags: int = 0
    stage: int = 0
    stream: int = 0
    priority: int = 1
    attempt: int = 0
    status: int = 0
    request_id: bytes = bytes(16)
    session_id: int = 0
    sequence: int = 0
    budget_ms: int = 0
    bundle_prefix: bytes = bytes(8)


@dataclass(frozen=True)
class Timing:
    """Where a run spent its time, in microseconds (7.10)."""
    stage: int
    attempt: int
    queue: int
    decode: int
    compute: int
    encode: int


@dataclass
class Tensor:
    """A tensor: `raw` holds its bytes, row-major and little-endian, as u8 [raw_bytes]."""
    id: int
    dtype: str
    shape: tuple[int, ...]
    raw: np.ndarray
    codec: int | None = None
    """How it travelled, or how it shall travel; None leaves that to the encoder."""

    @property
    def array(self) -> np.ndarray:
        """The elements. BF16 appears as its 16 bits, BOOL as its bytes."""
        return self.raw.view(DTYPES[self.dtype].numpy).reshape(self.shape)

    def floats(self) -> np.ndarray:
        """The elements as F32, BF16 included."""
        if self.dtype == "BF16":
            return (self.array.astype("<u4") << np.uint32(16)).view("<f4")
        return self.array.astype("<f4")

    @classmethod
    def of(cls, id: int | str, values: Any, dtype: str | None = None, codec: int | None = None) -> Tensor:
        """A tensor of an array. `dtype` is needed for BF16 and BOOL, whose elements are given as `array` shows them."""
        values = np.asarray(values)
        if dtype is None:
            if values.dtype == np.bool_:
                dtype = "BOOL"
            else:
                dtype = next((d.name for d in DTYPES.values()
                              if d.numpy == values.dtype.newbyteorder("<") and d.name not in ("BF16", "BOOL")), None)
                if dtype is None:
                    raise EncodeError("dtype", f"no dtype of GLTP for {values.dtype}")
        values = np.ascontiguousarray(values, DTYPES[dtype].numpy).reshape(values.shape)
        return cls(TENSOR_ID[id] if isinstance(id, str) else id, dtype, values.shape, values.reshape(-1).view(np.uint8), codec)

    @classmethod
    def of_bytes(cls, id: int | str, data: bytes) -> Tensor:
        return cls(TENSOR_ID[id] if isinstance(id, str) else id, "U8", (len(data),), np.frombuffer(data, np.uint8))

    @classmethod
    def of_strings(cls, id: int | str, values: Iterable[str]) -> Tensor:
        """A string list (4.3)."""
        out = bytearray()
        values = list(values)
        if len(values) > MAX_STRINGS:
            raise EncodeError("stringList", f"{len(values)} strings, at most {MAX_STRINGS} are allowed")
        for value in values:
            try:
                data = value.encode()
            except UnicodeEncodeError:
                raise EncodeError("stringList", "a string is not valid Unicode") from None
            if not 1 <= len(data) <= MAX_STRING:
                raise EncodeError("stringList", f"a string of {len(data)} bytes, not 1 to {MAX_STRING}")
            out += struct.pack("<H", len(data)) + data
        return cls.of_bytes(id, bytes(out))

    def strings(self) -> list[str]:
        """The strings of a string list. Raises RuleError("stringList")."""
        data = self.raw.tobytes()
        out: list[str] = []
        at = 0
        while at < len(data):
            if len(out) == MAX_STRINGS:
                raise RuleError("stringList", f"more than {MAX_STRINGS} strings")
            if at + 2 > len(data):
                raise RuleError("stringList", "a length is cut off")
            size = data[at] | data[at + 1] << 8
            at += 2
            if not 1 <= size <= MAX_STRING:
                raise RuleError("stringList", f"a string of {size} bytes, not 1 to {MAX_STRING}")
            if at + size > len(data):
                raise RuleError("stringList", "a string is cut off")
            try:
                out.append(data[at:at + size].decode())
            except UnicodeDecodeError:
                raise RuleError("stringList", "a string is not UTF-8") from None
            at += size
        return out


@dataclass
class Message:
    """A message. TLVs are by name; `timing` and `bundle` are lists, texts are str, boot_id and bundles are bytes."""
    header: Header
    tlvs: dict[str, Any] = field(default_factory=dict)
    tensors: Sequence[Tensor] = ()

    @property
    def kind(self) -> Kind:
        return Kind(self.header.kind)

    @property
    def status(self) -> Status | int:
        return status_of(self.header.status)

    def tensor(self, name: str) -> Tensor | None:
        return next((t for t in self.tensors if t.id == TENSOR_ID[name]), None)


def message(kind: int, tlvs: dict[str, Any] | None = None, tensors: Sequence[Tensor] = (), **header: Any) -> Message:
    """A message of a kind; the other fields of the header by keyword."""
    return Message(Header(kind, **header), tlvs or {}, list(tensors))
