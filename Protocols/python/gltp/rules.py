"""What each kind of message may and must have (3.3, 3.4, 4.3, 5). Encoder and decoder share these rules."""
from __future__ import annotations

from typing import Any, Protocol, Sequence

from .errors import RuleError
from .message import Header, Tensor
from .registry import EQUAL_EXTENTS, TENSORS, Flag, Kind, Role, Status, Stream, is_private

_KINDS = frozenset(Kind)
_ANY_STAGE = frozenset({0, 1, 2, 3})
_NO_STREAM = frozenset({0})

# The streams that each stage allows (5.1, 5.4).
_STREAMS: dict[int, dict[int, frozenset[int]]] = {kind: {0: _NO_STREAM} for kind in Kind}
_STREAMS[Kind.REQUEST] = _STREAMS[Kind.CANCEL] = {stage: _NO_STREAM for stage in _ANY_STAGE}
_STREAMS[Kind.INPUT] = {2: frozenset({1}), 3: frozenset({1, 2})}
_STREAMS[Kind.PARTIAL] = {0: frozenset({3}), 1: frozenset({1, 2}), 2: frozenset({1}), 3: frozenset({3})}
_STREAMS[Kind.END] = {stage: frozenset({0, 1, 2, 3}) for stage in _ANY_STAGE}
_STREAMS[Kind.ACK] = {stage: frozenset({1, 2, 3}) for stage in _ANY_STAGE}

_WITH_STATUS = frozenset({Kind.REJECT, Kind.BYE, Kind.END})
_REQUEST_FLAGS = Flag.STREAM | Flag.TITLES | Flag.RETRY | Flag.CANARY


def check_fields(h: Header, reserved: int, tensor_count: int) -> None:
    """The header's fields in the order of their offsets. Flags come later: 8.2."""
    if h.kind not in _KINDS:
        raise RuleError("kind", f"{h.kind}")
    streams = _STREAMS[h.kind]
    if h.stage not in streams:
        raise RuleError("stage", f"stage {h.stage} of {Kind(h.kind).name}")
    if h.stream not in streams[h.stage]:
        raise RuleError("stream", f"stream {h.stream} of stage {h.stage} of {Kind(h.kind).name}")
    if h.priority > 2:
        raise RuleError("priority", f"{h.priority}")
    if reserved:
        raise RuleError("headerReserved", f"{reserved:02x}")
    if h.status and h.kind not in _WITH_STATUS:
        raise RuleError("status", f"{Kind(h.kind).name} with status {h.status}")
    if tensor_count > 8:
        raise RuleError("tensorCount", f"{tensor_count}")


def check_flags(h: Header) -> None:
    if h.kind == Kind.REQUEST:
        allowed = _REQUEST_FLAGS
    elif h.kind == Kind.INPUT:
        allowed = Flag.FINAL
    elif h.kind == Kind.PARTIAL:
        # 5.4: rankings are never FINAL, the final one travels in END.
        allowed = Flag.PROVISIONAL if h.stream == Stream.RANKING else Flag.FINAL
    elif h.kind == Kind.END:
        allowed = Flag.PROVISIONAL | Flag.INCOMPLETE
    else:
        allowed = Flag(0)
    if h.flags & ~int(allowed):  # int: the complement of an IntFlag lacks the bits without a name, 0x80 among them
        raise RuleError("flags", f"{h.flags:02x} in {Kind(h.kind).name}")


_TLVS: dict[int, tuple[set[str], set[str]]] = {  # kind: (required, optional)
    Kind.HELLO: ({"version_range", "role", "limits"}, {"features", "peer_id", "boot_id", "build", "slots", "bundle"}),
    Kind.WELCOME: ({"version", "role", "intervals", "limits"}, {"features", "peer_id", "boot_id", "build", "bundle"}),
    Kind.REJECT: (set(), {"version_range", "retry_after_ms", "detail"}),
    Kind.CREDIT: ({"credit_total"}, set()),
    Kind.DRAIN: (set(), {"detail"}),
    Kind.BYE: (set(), {"detail"}),
}


def tlvs_of(h: Header) -> tuple[set[str], set[str]]:
    """The names of the TLVs that a message must and may have."""
    if h.kind == Kind.REQUEST:
        return {"count", "mode"}, {"user_id"} | ({"retrieve", "exclusion"} if h.stage in (0, 1) else set())
    if h.kind == Kind.PARTIAL and h.stream == Stream.RANKING:
        return {"items_seen", "items_total"}, set()
    if h.kind in (Kind.INPUT, Kind.PARTIAL) and h.stream == Stream.CANDIDATES:
        return {"items_total"}, set()
    if h.kind == Kind.END:
        # Required exactly where a ranking is (5.5), which only its tensors tell: see check_requirements.
        return set(), {"timing", "retry_after_ms", "detail"} | ({"items_seen", "items_total"} if h.stage in (0, 3) else set())
    return _TLVS.get(h.kind, (set(), set()))


def tensors_of(h: Header) -> tuple[set[int], set[int]]:
    """The ids of the tensors that a message must and may have. In END rankings are optional here."""
    if h.kind == Kind.REQUEST:
        return set(), {16, 17, 18, 19} if h.stage in (0, 1) else set()
    if h.kind in (Kind.INPUT, Kind.PARTIAL):
        if h.stream == Stream.RANKING:
            return {32, 33}, {34}
        if h.stream == Stream.CANDIDATES:
            return {4, 5}, set()
        # The instruction stream carries the instruction input up to the aligner, and its prompt from there on.
        before_aligner = (h.kind, h.stage) in ((Kind.PARTIAL, 1), (Kind.INPUT, 2))
        return ({1, 2}, {3}) if before_aligner else ({6, 7, 8, 9}, set())
    if h.kind == Kind.END and h.stage in (0, 3):
        return set(), {32, 33, 34}
    if h.kind == Kind.REPORT:
        return {48}, set()
    return set(), set()


class Described(Protocol):
    """A tensor or a descriptor."""
    @property
    def id(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def check_requirements(h: Header, tlvs: dict[str, Any], tensors: Sequence[Described]) -> None:
    """What the kind requires: its tensors (4.3), then how fields go together (5)."""
    _check_tensors(h, tensors)
    present = {t.id for t in tensors}
    if h.kind == Kind.HELLO:
        if tlvs["role"] == Role.GATEWAY:
            raise RuleError("contradiction", "a gateway does not dial")
        if tlvs["role"] != Role.CLIENT and not ("bundle" in tlvs and "slots" in tlvs):
            raise RuleError("contradiction", "a worker without bundle or slots")
    elif h.kind == Kind.WELCOME:
        if tlvs["role"] != Role.GATEWAY:
            raise RuleError("contradiction", "only a gateway welcomes")
    elif h.kind == Kind.REJECT:
        if h.status == Status.VERSION and "version_range" not in tlvs:
            raise RuleError("contradiction", "REJECT(VERSION) without the gateway's range")
    elif h.kind == Kind.REQUEST and h.stage in (0, 1):
        if "user_id" not in tlvs and 16 not in present:
            raise RuleError("contradiction", "neither user_id nor request_items")
        if "retrieve" in tlvs and 17 in present:
            raise RuleError("contradiction", "retrieve and request_candidates")
    elif h.kind == Kind.END and h.stage in (0, 3):
        _check_end(h, tlvs, present)
    elif h.kind == Kind.END and h.flags:
        raise RuleError("contradiction", "the flags of a ranking where none can be")


def _check_tensors(h: Header, tensors: Sequence[Described]) -> None:
    required, optional = tensors_of(h)
    shapes: dict[int, tuple[int, ...]] = {}
    for t in tensors:
        if is_private(t.id):
            continue
        if t.id not in required | optional:
            raise RuleError("tensorUnexpected", f"tensor {t.id} in {Kind(h.kind).name}")
        rule = TENSORS[t.id]
        if t.dtype != rule.dtype:
            raise RuleError("tensorDtype", f"{rule.name} of {t.dtype}, not {rule.dtype}")
        if len(t.shape) != rule.rank:
            raise RuleError("tensorRank", f"{rule.name} of rank {len(t.shape)}, not {rule.rank}")
        if t.shape[0] < rule.minimum or rule.maximum is not None and t.shape[0] > rule.maximum:
            raise RuleError("tensorShape", f"{rule.name} of {t.shape[0]} elements")
        shapes[t.id] = t.shape
    for id in required:
        if id not in shapes:
            raise RuleError("tensorMissing", TENSORS[id].name)
    for a, b in EQUAL_EXTENTS:
        if a in shapes and shapes[a][0] != shapes[b][0]:
            raise RuleError("tensorShape", f"{TENSORS[a].name} of {shapes[a][0]}, {TENSORS[b].name} of {shapes[b][0]}")


def _check_end(h: Header, tlvs: dict[str, Any], present: set[int]) -> None:
    """5.5: a ranking with OK, perhaps one with DEADLINE or CANCELLED, none with anything else."""
    ranked = bool(present & {32, 33, 34})
    if ranked:
        for id in (32, 33):
            if id not in present:
                raise RuleError("tensorMissing", TENSORS[id].name)
    for name in ("items_seen", "items_total"):
        if (name in tlvs) != ranked:
            raise RuleError("contradiction", f"{name} is present exactly where a ranking is")
    if h.status == Status.OK:
        if not ranked:
            raise RuleError("contradiction", "OK without a ranking")
        if h.flags:
            raise RuleError("contradiction", "OK means that the ranking is final")
    elif ranked:
        if h.status not in (Status.DEADLINE, Status.CANCELLED):
            raise RuleError("contradiction", f"status {h.status} with a ranking")
        if not h.flags & Flag.INCOMPLETE:
            raise RuleError("contradiction", f"status {h.status} with a ranking that is not INCOMPLETE")
    elif h.flags:
        raise RuleError("contradiction", "the flags of a ranking without one")


def check_contents(tensors: Sequence[Tensor]) -> None:
    """String lists, and that a ranking has as many items as scores and titles."""
    counts: dict[int, int] = {}
    for t in tensors:
        rule = TENSORS.get(t.id)
        if rule and rule.strings:
            counts[t.id] = len(t.strings())
        elif t.id == 33:
            counts[33] = t.shape[0]
    for id in (33, 34):
        if 32 in counts and id in counts and counts[id] != counts[32]:
            raise RuleError("stringList", f"{counts[32]} items, but {TENSORS[id].name} of {counts[id]}")
