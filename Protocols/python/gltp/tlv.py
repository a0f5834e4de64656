"""TLVs (3.4)."""
from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from typing import Any, Callable, Collection

from .errors import RuleError
from .message import Timing

PART_LIMIT = 9 << 20
MESSAGE_LIMIT = 32 << 20
WINDOW = 4


def _int(fmt: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    return lambda v: struct.pack(fmt, v), lambda b: struct.unpack(fmt, b)[0]


def _ints(fmt: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    return lambda v: struct.pack(fmt, *v), lambda b: struct.unpack(fmt, b)


_BYTES = (bytes, bytes)
_TEXT = (lambda v: v.encode(), lambda b: b.decode())


def _unpack_timing(data: bytes) -> Timing:
    stage, zero, *rest = struct.unpack("<BBH4I", data)
    if zero:
        raise RuleError("tlvValue", "a reserved byte of timing is not zero")
    return Timing(stage, *rest)


_TIMING = (lambda t: struct.pack("<BBH4I", t.stage, 0, *astuple(t)[1:]), _unpack_timing)


@dataclass(frozen=True)
class TLVRule:
    code: int
    name: str
    convert: tuple[Callable[[Any], bytes], Callable[[bytes], Any]]
    least: int
    most: int
    """Bounds of the length in bytes."""
    valid: Callable[[Any], bool] = lambda value: True
    times: int = 1
    """How often it may occur; where that is more than once, the value is a list."""


_RULES = [
    TLVRule(1, "version_range", _ints("<4B"), 4, 4, lambda v: v[:2] <= v[2:]),
    TLVRule(2, "features", _int("<Q"), 8, 8),
    TLVRule(3, "version", _ints("<2B"), 2, 2),
    TLVRule(4, "peer_id", _TEXT, 1, 128),
    TLVRule(5, "role", _int("<B"), 1, 1, lambda v: 1 <= v <= 5),
    TLVRule(6, "boot_id", _BYTES, 16, 16),
    TLVRule(7, "user_id", _TEXT, 1, 512),
    TLVRule(8, "build", _TEXT, 1, 128),
    TLVRule(9, "count", _int("<I"), 4, 4, lambda v: 1 <= v <= 1000),
    TLVRule(10, "slots", _int("<I"), 4, 4),
    TLVRule(11, "mode", _int("<B"), 1, 1, lambda v: 1 <= v <= 3),
    TLVRule(12, "timing", _TIMING, 20, 20, lambda v: 1 <= v.stage <= 3, times=3),
    TLVRule(13, "retrieve", _int("<I"), 4, 4, lambda v: 1 <= v <= 1_000_000),
    TLVRule(14, "retry_after_ms", _int("<I"), 4, 4),
    TLVRule(15, "exclusion", _int("<B"), 1, 1, lambda v: 1 <= v <= 2),
    TLVRule(16, "detail", _TEXT, 1, 1024),
    TLVRule(17, "bundle", _BYTES, 32, 32, times=8),
    TLVRule(19, "credit_total", _int("<Q"), 8, 8),
    TLVRule(21, "items_seen", _int("<I"), 4, 4),
    TLVRule(23, "items_total", _int("<I"), 4, 4),
    TLVRule(25, "intervals", _ints("<2I"), 8, 8, lambda v: v[1] >= 2 * v[0]),
    # 8: "MUST NOT offer more than this table allows".
    TLVRule(27, "limits", _ints("<3I"), 12, 12, lambda v: v[0] <= PART_LIMIT and v[1] <= MESSAGE_LIMIT and v[2] <= WINDOW),
]
BY_CODE = {rule.code: rule for rule in _RULES}
BY_NAME = {rule.name: rule for rule in _RULES}


def parse(data: bytes, required: Collection[str], optional: Collection[str]) -> dict[str, Any]:
    """The TLVs of a head, by name, where this kind of message has those that are `required` and may have the `optional`."""
    out: dict[str, Any] = {}
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise RuleError("tlvTruncated", "the header of a TLV is cut off")
        code, size = struct.unpack_from("<HH", data, at)
        at += 4
        if at + size > len(data):
            raise RuleError("tlvTruncated", f"TLV {code} has {size} bytes, {len(data) - at} are left")
        value = data[at:at + size]
        at += size
        rule = BY_CODE.get(code)
        if rule is None or rule.name not in required and rule.name not in optional:
            if code & 1:
                raise RuleError("tlvUnexpected" if rule else "tlvUnknown", f"critical TLV {code}")
            continue  # not looked at: what a later version puts there is its own affair
        _take(rule, value, out)
    _check_missing(out, required)
    return out


def _check_missing(tlvs: dict[str, Any], required: Collection[str]) -> None:
    for name in required:
        if name not in tlvs:
            raise RuleError("tlvMissing", name)


def _take(rule: TLVRule, data: bytes, out: dict[str, Any]) -> None:
    before = out.get(rule.name)
    if before is not None and (rule.times == 1 or len(before) == rule.times):
        raise RuleError("tlvDuplicate", f"{rule.name} more than {rule.times} time(s)")
    if not rule.least <= len(data) <= rule.most:
        raise RuleError("tlvLength", f"{rule.name} of {len(data)} bytes")
    try:
        value = rule.convert[1](data)
    except UnicodeDecodeError:
        raise RuleError("tlvText", f"{rule.name} is not UTF-8") from None
    if not rule.valid(value):
        raise RuleError("tlvValue", f"{rule.name} {value}")
    if rule.times == 1:
        out[rule.name] = value
    else:
        out.setdefault(rule.name, []).append(value)


def serialise(tlvs: dict[str, Any], required: Collection[str], optional: Collection[str]) -> bytes:
    """TLVs in ascending order of kind. What a receiver would refuse, or skip, is refused."""
    out = bytearray()
    checked: dict[str, Any] = {}
    for name in tlvs:
        if name not in BY_NAME:
            raise RuleError("tlvUnknown", name)
        if name not in required and name not in optional:
            raise RuleError("tlvUnexpected", name)
    for rule in _RULES:
        if rule.name not in tlvs:
            continue
        value = tlvs[rule.name]
        for one in value if rule.times > 1 else [value]:
            try:
                data = rule.convert[0](one)
            except UnicodeEncodeError:
                raise RuleError("tlvText", f"{rule.name} is not valid Unicode") from None
            except (struct.error, TypeError, AttributeError) as error:
                raise RuleError("tlvValue", f"{rule.name} {one!r}: {error}") from None
            _take(rule, data, checked)
            out += struct.pack("<HH", rule.code, len(data)) + data
    _check_missing(checked, required)
    return bytes(out)
