"""Between messages and the parts of a ZeroMQ message. The order of checks is that of 8.2."""
from __future__ import annotations

import struct
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Sequence, Union

import numpy as np

from . import lz4frame, tlv
from .errors import DecodeError, EncodeError, OverBudget, RuleError
from .message import Header, Message, Tensor
from .registry import DTYPE_OF_CODE, DTYPES, FLOATS, Codec, is_private
from .rules import check_contents, check_fields, check_flags, check_requirements, tlvs_of
from .xxh32 import payload_xxh32, xxh32

MAGIC = b"GLT1"
MAJOR, MINOR = 1, 0
HEAD_MIN, HEAD_MAX = 64, 4096
_HEAD = struct.Struct("<4s8BHH16sQII8sHHI")
_TABLE = struct.Struct("<HHI")
_DESCRIPTOR = struct.Struct("<HBBB3s6IQII16s")
_CHECKSUM_AT_HEAD, _CHECKSUM_AT_TABLE = 60, 4

Part = Union[bytes, bytearray, memoryview]


class MemoryBudget:
    """Counts the bytes of decoded tensors that are still referenced."""

    def __init__(self, limit: int = 256 << 20) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.RLock()  # the garbage collector may give back while this thread takes

    def take(self, size: int) -> None:
        with self._lock:
            if self.used + size > self.limit:
                raise OverBudget("decodeBudget", f"{self.used} of {self.limit} bytes are in use, {size} more are needed")
            self.used += size

    def give(self, size: int) -> None:
        with self._lock:
            self.used -= size


PROCESS_BUDGET = MemoryBudget()


@dataclass(frozen=True)
class Limits:
    """What a decoder accepts (8)."""
    tensor: int = 8 << 20
    message: int = 32 << 20
    raw_payloads: bool = False
    """Whether codec 0 is taken for tensors with elements: only from peers of the own process (4.2)."""
    budget: MemoryBudget = PROCESS_BUDGET


NETWORK = Limits()
CLIENT_EDGE = Limits(tensor=256 << 10, message=1 << 20)
IN_PROCESS = Limits(raw_payloads=True)


@dataclass(frozen=True)
class _Descriptor:
    id: int
    dtype: str
    codec: int
    shape: tuple[int, ...]
    raw_bytes: int
    stored_bytes: int
    checksum: int


def _sealed(part: bytearray, at: int) -> bytes:
    """The part with its checksum, which is taken with its own four bytes as zero."""
    part[at:at + 4] = bytes(4)
    struct.pack_into("<I", part, at, xxh32(part))
    return bytes(part)


def _is_sealed(part: bytes, at: int) -> bool:
    return bool(struct.unpack_from("<I", part, at)[0] == xxh32(part[:at] + bytes(4) + part[at + 4:]))


# Decoding.

def decode(parts: Sequence[Part], limits: Limits = NETWORK, *, keep_private: bool = False) -> Message:
    """The message of `parts`. Raises DecodeError with the name of the first broken rule.

    Private tensors are checked and dropped, or kept if the caller knows them.
    """
    header: Header | None = None
    try:
        views = [memoryview(part).cast("B") for part in parts]
        head = _check_head(views)
        fields = _HEAD.unpack_from(head)
        _, _, _, kind, flags, stage, stream, priority, reserved, *rest, tensor_count, tlv_bytes, _ = fields
        header = Header(kind, flags, stage, stream, priority, *rest)
        check_fields(header, reserved, tensor_count)
        if len(head) != HEAD_MIN + tlv_bytes:
            raise RuleError("tlvSize", f"{tlv_bytes} bytes, the head has {len(head) - HEAD_MIN}")
        check_flags(header)
        if len(views) != (2 + tensor_count if tensor_count else 1):
            raise RuleError("partCount", f"{len(views)} parts for {tensor_count} tensors")
        required, optional = tlvs_of(header)
        tlvs = tlv.parse(head[HEAD_MIN:], required, optional)
        descriptors = _check_table(bytes(views[1]), views[2:], limits) if tensor_count else []
        check_requirements(header, tlvs, descriptors)
        tensors = [_tensor(descriptor, payload, limits) for descriptor, payload in zip(descriptors, views[2:])]
        check_contents(tensors)
    except DecodeError as error:
        error.header = header
        raise
    except RuleError as error:
        raise DecodeError(error.rule, error.detail, header) from None
    return Message(header, tlvs, [t for t in tensors if keep_private or not is_private(t.id)])


def _check_head(views: Sequence[memoryview]) -> bytes:
    if not views:
        raise RuleError("headSize", "no parts")
    if not HEAD_MIN <= len(views[0]) <= HEAD_MAX:
        raise RuleError("headSize", f"{len(views[0])} bytes")
    head = bytes(views[0])
    if head[:4] != MAGIC:
        raise RuleError("magic", head[:4].hex())
    if (head[4], head[5]) != (MAJOR, MINOR):
        raise RuleError("version", f"{head[4]}.{head[5]}")
    if not _is_sealed(head, _CHECKSUM_AT_HEAD):
        raise RuleError("headChecksum")
    return head


def _check_table(table: bytes, payloads: Sequence[memoryview], limits: Limits) -> list[_Descriptor]:
    if len(table) != _TABLE.size + len(payloads) * _DESCRIPTOR.size:
        raise RuleError("tableSize", f"{len(table)} bytes for {len(payloads)} tensors")
    if not _is_sealed(table, _CHECKSUM_AT_TABLE):
        raise RuleError("tableChecksum")
    count, reserved, _ = _TABLE.unpack_from(table)
    if count != len(payloads):
        raise RuleError("tableCount", f"{count}, the header says {len(payloads)}")
    if reserved:
        raise RuleError("tableReserved", f"{reserved:04x}")
    out: list[_Descriptor] = []
    for fields, payload in zip(_DESCRIPTOR.iter_unpack(table[_TABLE.size:]), payloads):
        out.append(_descriptor(fields, len(payload), out, limits))
    return out


def _descriptor(fields: tuple[Any, ...], payload_bytes: int, before: Sequence[_Descriptor], limits: Limits) -> _Descriptor:
    """Checks a descriptor; `before` are those of the message that come before it."""
    id, dtype_code, codec, rank, reserved, *extents, raw_bytes, stored_bytes, checksum, tail = fields
    if any(d.id == id for d in before):
        raise RuleError("tensorDuplicate", f"{id}")
    dtype = DTYPE_OF_CODE.get(dtype_code)
    if dtype is None:
        raise RuleError("dtype", f"{dtype_code}")
    if codec not in (Codec.RAW, Codec.LZ4, Codec.SHUFFLED):
        raise RuleError("codec", f"{codec}")
    if codec == Codec.SHUFFLED and dtype.size == 1:
        raise RuleError("codecDtype", f"shuffled {dtype.name}")
    if not 1 <= rank <= 6:
        raise RuleError("rank", f"{rank}")
    if any(reserved + tail):
        raise RuleError("descriptorReserved", (reserved + tail).hex())
    if any(extents[rank:]):
        raise RuleError("shapeTail", f"{extents} of rank {rank}")
    shape = tuple(extents[:rank])
    product = dtype.size
    for extent in shape:  # Python's integers do not overflow: a wrapped product cannot look right
        product *= extent
    if raw_bytes != product:
        raise RuleError("rawBytes", f"{raw_bytes}, shape and dtype give {product}")
    if raw_bytes == 0:
        if codec != Codec.RAW or stored_bytes != 0:
            raise RuleError("emptyTensor", f"codec {codec}, {stored_bytes} bytes")
    elif codec == Codec.RAW and not limits.raw_payloads:
        raise RuleError("codecRefused", "bare payloads are only for peers of one process")
    if raw_bytes > limits.tensor:
        raise RuleError("tensorTooLarge", f"{raw_bytes} bytes, at most {limits.tensor}")
    if stored_bytes > raw_bytes + raw_bytes // 64 + 64:
        raise RuleError("storedTooLarge", f"{stored_bytes} bytes for {raw_bytes}")
    if raw_bytes > 255 * stored_bytes:
        raise RuleError("expansion", f"{raw_bytes} bytes from {stored_bytes}")
    if stored_bytes != payload_bytes or codec == Codec.RAW and stored_bytes != raw_bytes:
        raise RuleError("payloadSize", f"{payload_bytes} bytes, the descriptor says {stored_bytes} for {raw_bytes}")
    total = sum(d.raw_bytes for d in before) + raw_bytes
    if total > limits.message:
        raise RuleError("messageTooLarge", f"{total} bytes, at most {limits.message}")
    return _Descriptor(id, dtype.name, codec, shape, raw_bytes, stored_bytes, checksum)


def _tensor(d: _Descriptor, payload: memoryview, limits: Limits) -> Tensor:
    if payload_xxh32(payload) != d.checksum:
        raise RuleError("payloadChecksum", f"tensor {d.id}")
    taken = 0

    def reserve(size: int) -> None:
        nonlocal taken
        limits.budget.take(size)
        taken = size

    try:
        if d.codec == Codec.RAW:
            reserve(d.raw_bytes)
            raw = np.frombuffer(bytes(payload), np.uint8)
        else:
            raw = lz4frame.decompress(payload, d.raw_bytes, reserve)
            if d.codec == Codec.SHUFFLED:
                raw = lz4frame.unshuffle(raw, DTYPES[d.dtype].size)
    except BaseException:
        limits.budget.give(taken)
        raise
    # A view keeps the array alive that owns the bytes, and not the views between.
    owner = raw.base if isinstance(raw.base, np.ndarray) else raw
    weakref.finalize(owner, limits.budget.give, d.raw_bytes).atexit = False
    return Tensor(d.id, d.dtype, d.shape, raw, d.codec)


# Encoding.

def encode(message: Message, limits: Limits = NETWORK) -> list[bytes]:
    """The parts of a message. Raises EncodeError where a decoder with the same limits would have to refuse them."""
    try:
        return _encode(message, limits)
    except EncodeError:
        raise
    except RuleError as error:
        raise EncodeError(error.rule, error.detail) from None


def _encode(message: Message, limits: Limits) -> list[bytes]:
    h = message.header
    tensors = message.tensors
    check_fields(h, 0, len(tensors))
    check_flags(h)
    required, optional = tlvs_of(h)
    body = tlv.serialise(message.tlvs, required, optional)
    if HEAD_MIN + len(body) > HEAD_MAX:
        raise RuleError("headSize", f"{HEAD_MIN + len(body)} bytes")
    if len(h.request_id) != 16 or len(h.bundle_prefix) != 8:
        raise RuleError("headerField", "request_id has 16 bytes, bundle_prefix 8")
    try:
        head = _HEAD.pack(MAGIC, MAJOR, MINOR, h.kind, h.flags, h.stage, h.stream, h.priority, 0, h.attempt, h.status, h.request_id,
                          h.session_id, h.sequence, h.budget_ms, h.bundle_prefix, len(tensors), len(body), 0)
    except struct.error as error:
        raise RuleError("headerField", f"a field does not fit: {error}") from None
    parts = [_sealed(bytearray(head + body), _CHECKSUM_AT_HEAD)]
    check_requirements(h, message.tlvs, tensors)
    check_contents(tensors)
    if not tensors:
        return parts
    descriptors: list[_Descriptor] = []
    payloads: list[bytes] = []
    table = bytearray(_TABLE.pack(len(tensors), 0, 0))
    for t in tensors:
        before = sum(d.raw_bytes for d in descriptors)
        if t.raw.nbytes > limits.tensor:  # before time is spent on compressing it
            raise RuleError("tensorTooLarge", f"{t.raw.nbytes} bytes, at most {limits.tensor}")
        if before + t.raw.nbytes > limits.message:
            raise RuleError("messageTooLarge", f"{before + t.raw.nbytes} bytes, at most {limits.message}")
        codec, payload = _payload(t, limits)
        extents = [*t.shape, *[0] * (6 - len(t.shape))]
        if len(extents) > 6 or not t.shape:
            raise RuleError("rank", f"{len(t.shape)}")
        fields = (t.id, DTYPES[t.dtype].code, codec, len(t.shape), bytes(3), *extents, t.raw.nbytes, len(payload),
                  payload_xxh32(payload), bytes(16))
        descriptors.append(_descriptor(fields, len(payload), descriptors, limits))
        table += _DESCRIPTOR.pack(*fields)
        payloads.append(payload)
    return parts + [_sealed(table, _CHECKSUM_AT_TABLE)] + payloads


def _payload(t: Tensor, limits: Limits) -> tuple[int, bytes]:
    """The codec and the payload of a tensor. Integers are shuffled, floats are stored (4.2)."""
    if t.raw.nbytes == 0:
        return Codec.RAW, b""
    codec = t.codec
    if codec is None or codec == Codec.RAW:
        if limits.raw_payloads:
            return Codec.RAW, t.raw.tobytes()
        codec = Codec.LZ4 if t.dtype in FLOATS or DTYPES[t.dtype].size == 1 else Codec.SHUFFLED
    if codec == Codec.SHUFFLED:
        return codec, lz4frame.compress(lz4frame.shuffle(t.raw, DTYPES[t.dtype].size).tobytes())
    return codec, lz4frame.compress(t.raw.tobytes(), store=t.dtype in FLOATS)
