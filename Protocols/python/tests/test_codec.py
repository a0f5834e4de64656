"""Round trips, limits and checksums of the codec."""
import gc
import random
import struct

import numpy as np
import pytest

import gltp
from gltp import Flag, Kind, Status, Tensor, Timing, message
from gltp.codec import CLIENT_EDGE, IN_PROCESS, NETWORK, Limits, MemoryBudget
from gltp.lz4frame import compress, decompress, shuffle, unshuffle
from gltp.registry import DTYPES, FLOATS
from gltp.xxh32 import payload_xxh32, xxh32, xxh32_plain

RANKING = [Tensor.of_strings("ranking_items", ["a", "Ærø"]), Tensor.of("ranking_scores", np.float32([2, 1]))]
SEEN = {"items_seen": 2, "items_total": 2}


def resealed(part, at, changes):
    """The part with some bytes changed and its checksum right again."""
    part = bytearray(part)
    for offset, value in changes.items():
        part[offset:offset + len(value)] = value
    part[at:at + 4] = bytes(4)
    part[at:at + 4] = struct.pack("<I", xxh32(part))
    return bytes(part)


def rule_of(call):
    with pytest.raises(gltp.RuleError) as caught:
        call()
    return caught.value.rule


# Checksums.

# Known answers of XXH32 with seed 0.
@pytest.mark.parametrize("data, hash", [
    (b"", 0x02CC5D05), (b"a", 0x550D7456), (b"abc", 0x32D153FF),
    (b"Nobody inspects the spammish repetition", 0xE2293B2F)])
def test_xxh32_known_answers(data, hash):
    assert xxh32_plain(data) == hash


def test_xxh32_is_xxhash():
    xxhash = pytest.importorskip("xxhash")
    for n in [*range(80), 1023, 1024, 1025]:
        data = random.Random(n).randbytes(n)
        assert xxh32_plain(data) == xxhash.xxh32_intdigest(data)


@pytest.mark.parametrize("n", [0, 1, 511, 512, 513, 1024, 5000, 8193 * 512 + 3])
def test_payload_tree(n):
    data = random.Random(n).randbytes(n)
    if n <= 512:
        expected = xxh32_plain(data)
    else:
        leaves = [xxh32_plain(data[at:at + 512]) for at in range(0, n, 512)]
        expected = xxh32_plain(struct.pack(f"<{len(leaves)}I", *leaves))
    assert payload_xxh32(data) == payload_xxh32(data, native=False) == expected


# Round trips.

MESSAGES = [
    message(Kind.HELLO, {"version_range": (1, 0, 1, 0), "role": 3, "limits": (1, 2, 3), "bundle": [bytes(range(32))], "slots": 2}),
    message(Kind.REQUEST, {"user_id": "ü", "count": 1000, "mode": 3, "retrieve": 7}, [Tensor.of_strings("request_allow", [])],
            flags=Flag.STREAM | Flag.TITLES | Flag.RETRY | Flag.CANARY, attempt=65535, budget_ms=2**32 - 1, priority=2),
    message(Kind.REQUEST, {"count": 1, "mode": 1}, [Tensor.of_strings(id, ["x" * 512, "y"]) for id in (16, 17, 18, 19)]),
    message(Kind.PARTIAL, {}, [Tensor.of("user_vector", np.float32([1.5])), Tensor.of("history", np.int32([]))], stage=1, stream=1,
            flags=Flag.FINAL),
    message(Kind.INPUT, {}, [Tensor.of("token_ids", np.arange(9, dtype=np.int32)),
                             Tensor.of("soft_tokens", np.zeros((0, 4), np.uint16), "BF16"),
                             Tensor.of("soft_positions", np.int32([])), Tensor.of("slot_positions", np.int32([8]))],
            stage=3, stream=1),
    message(Kind.INPUT, {"items_total": 0}, [Tensor.of("candidate_ids", np.arange(20000, dtype=np.int32)),
                                             Tensor.of("candidate_prior", np.random.rand(20000).astype(np.float32))],
            stage=3, stream=2),
    message(Kind.END, {**SEEN, "timing": [Timing(1, 2, 3, 4, 5, 6), Timing(3, 1, 2**32 - 1, 0, 0, 0)]}, RANKING, stage=3),
    message(Kind.END, SEEN, RANKING, status=Status.CANCELLED, flags=Flag.INCOMPLETE),
    message(Kind.END, {"detail": "?"}, status=77),
    message(Kind.ACK, stream=3, sequence=2**32 - 1, session_id=2**64 - 1, request_id=b"r" * 16, bundle_prefix=b"b" * 8),
    message(Kind.REPORT, {}, [Tensor.of_bytes("report", b"{}")])]


@pytest.mark.parametrize("sent", MESSAGES, ids=lambda m: m.kind.name)
def test_round_trip(sent):
    for limits in (NETWORK, IN_PROCESS):
        got = gltp.decode(gltp.encode(sent, limits), limits)
        assert (got.header, got.tlvs) == (sent.header, sent.tlvs)
        assert [(t.id, t.dtype, t.shape, t.raw.tobytes()) for t in got.tensors] == [
            (t.id, t.dtype, t.shape, t.raw.tobytes()) for t in sent.tensors]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 5, 1, 2), (70_001,), (2, 0, 3)])
def test_every_dtype(name, shape):
    size = DTYPES[name].size * int(np.prod(shape))
    raw = np.frombuffer(random.Random(size).randbytes(size), np.uint8)
    for codec in (None, gltp.Codec.LZ4):
        parts = gltp.encode(message(Kind.PING, tensors=[Tensor(0xF123, name, shape, raw, codec)]))
        (got,) = gltp.decode(parts, keep_private=True).tensors
        assert (got.dtype, got.shape, got.raw.tobytes()) == (name, shape, raw.tobytes())
        assert got.array.shape == shape
        if size and codec is None:
            narrow = name in FLOATS or DTYPES[name].size == 1
            assert got.codec == (gltp.Codec.LZ4 if narrow else gltp.Codec.SHUFFLED)


def test_arrays_and_strings():
    assert Tensor.of(0xF000, np.arange(6).reshape(2, 3).T).array.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert Tensor.of(0xF000, np.array([1, 2], ">i4")).array.tolist() == [1, 2]
    assert Tensor.of(0xF000, np.uint16([0x3F80, 0xC000]), "BF16").floats().tolist() == [1.0, -2.0]
    assert Tensor.of(0xF000, np.array([True, False])).dtype == "BOOL"
    assert Tensor.of_strings(16, ["a", "三"]).strings() == ["a", "三"]
    for bad in ([""], ["x" * 513], ["\ud800"], ["x"] * 65_537):
        assert rule_of(lambda: Tensor.of_strings(16, bad)) == "stringList"
    assert rule_of(lambda: Tensor.of(0xF000, np.complex64([1]))) == "dtype"


def test_frames():
    for n in (1, 15, 65536, 65537, 1 << 20, (3 << 20) + 5):
        for raw in (bytes(n), random.Random(n).randbytes(n)):
            for store in (False, True):
                frame = compress(raw, store=store)
                assert len(frame) <= n + n // 64 + 64
                assert decompress(memoryview(frame), n).tobytes() == raw
    a = np.arange(24, dtype=np.uint8)
    assert shuffle(a, 4)[:6].tolist() == [0, 4, 8, 12, 16, 20]
    assert (unshuffle(shuffle(a, 4), 4) == a).all()


def test_another_lz4_reads_our_frames():
    import lz4.frame
    raw = random.Random(3).randbytes(100_000) + bytes(300_000)
    assert lz4.frame.decompress(compress(raw)) == raw


# Limits, and what an encoder refuses to send.

def test_limits_of_clients():
    def request(sizes):
        return message(Kind.PING, tensors=[Tensor.of_bytes(0xF000 + i, bytes(n)) for i, n in enumerate(sizes)])
    exact = gltp.encode(request([256 << 10] * 4), CLIENT_EDGE)
    gltp.decode(exact, CLIENT_EDGE)
    assert rule_of(lambda: gltp.encode(request([(256 << 10) + 1]), CLIENT_EDGE)) == "tensorTooLarge"
    assert rule_of(lambda: gltp.encode(request([256 << 10] * 4 + [1]), CLIENT_EDGE)) == "messageTooLarge"
    assert rule_of(lambda: gltp.decode(gltp.encode(request([(256 << 10) + 1])), CLIENT_EDGE)) == "tensorTooLarge"
    assert rule_of(lambda: gltp.encode(request([1] * 9))) == "tensorCount"


def test_memory_budget():
    limits = Limits(budget=MemoryBudget(1000))
    parts = gltp.encode(message(Kind.PING, tensors=[Tensor.of(0xF000, np.arange(200, dtype=np.int32))]))
    array = gltp.decode(parts, limits, keep_private=True).tensors[0].array
    gc.collect()
    assert limits.budget.used == 800
    with pytest.raises(gltp.OverBudget) as caught:
        gltp.decode(parts, limits)
    assert (caught.value.rule, caught.value.corrupt, caught.value.header.kind) == ("decodeBudget", False, Kind.PING)
    del array
    gc.collect()
    assert limits.budget.used == 0
    damaged = parts[:2] + [parts[2][:-1] + b"\x01"]
    assert rule_of(lambda: gltp.decode(damaged, limits)) == "payloadChecksum"
    assert limits.budget.used == 0


@pytest.mark.parametrize("bad, rule", [
    (message(9), "kind"), (message(Kind.PING, stage=1), "stage"), (message(Kind.ACK), "stream"),
    (message(Kind.PING, priority=3), "priority"), (message(Kind.PING, status=1), "status"),
    (message(Kind.PING, flags=0x80), "flags"), (message(Kind.PING, flags=Flag.FINAL), "flags"),
    (message(Kind.PING, {"user_id": "x"}), "tlvUnexpected"), (message(Kind.BYE, {"nonsense": 1}), "tlvUnknown"),
    (message(Kind.BYE, {"detail": ""}), "tlvLength"), (message(Kind.BYE, {"detail": "x" * 1025}), "tlvLength"),
    (message(Kind.BYE, {"detail": "\udcff"}), "tlvText"), (message(Kind.CREDIT, {"credit_total": -1}), "tlvValue"),
    (message(Kind.CREDIT), "tlvMissing"), (message(Kind.REQUEST, {"count": 1, "mode": 1}), "contradiction"),
    (message(Kind.END), "contradiction"), (message(Kind.END, SEEN, RANKING, status=Status.DEADLINE), "contradiction"),
    (message(Kind.END, SEEN, RANKING, flags=Flag.PROVISIONAL), "contradiction"),
    (message(Kind.END, stage=1, flags=Flag.INCOMPLETE), "contradiction"),
    (message(Kind.END, SEEN, RANKING[:1]), "tensorMissing"), (message(Kind.END, {}, RANKING, stage=2), "tensorUnexpected"),
    (message(Kind.REJECT, status=Status.VERSION), "contradiction"), (message(Kind.PING, attempt=65536), "headerField"),
    (message(Kind.REPORT, {}, [Tensor.of_bytes("report", bytes(262_145))]), "tensorShape"),
    (message(Kind.WELCOME, {"version": (1, 0), "role": 1, "intervals": (1, 2), "limits": (0, 0, 0)}), "contradiction")])
def test_encoder_refuses(bad, rule):
    assert rule_of(lambda: gltp.encode(bad)) == rule
    with pytest.raises(ValueError):
        gltp.encode(bad)


def test_errors_know_the_header_and_who_is_to_blame():
    sent = message(Kind.END, SEEN, RANKING, request_id=b"r" * 16)
    parts = gltp.encode(sent)
    damaged = parts[:2] + [parts[2][:-5] + b"!" + parts[2][-4:], parts[3]]
    with pytest.raises(gltp.DecodeError) as caught:
        gltp.decode(damaged)
    assert caught.value.corrupt and caught.value.header == sent.header
    with pytest.raises(gltp.DecodeError) as caught:
        gltp.decode([resealed(parts[0], 60, {11: b"\1"}), *parts[1:]])
    assert (caught.value.rule, caught.value.corrupt) == ("headerReserved", False)


def test_order_of_checks():
    """Of two faults the one that 8.2 names first is told."""
    parts = gltp.encode(message(Kind.END, SEEN, RANKING))
    two = resealed(parts[0], 60, {8: b"\4", 10: b"\3", 7: b"\x80"})
    assert rule_of(lambda: gltp.decode([two])) == "stage"
    assert rule_of(lambda: gltp.decode([resealed(parts[0], 60, {10: b"\3", 7: b"\x80"})])) == "priority"
    assert rule_of(lambda: gltp.decode([resealed(parts[0], 60, {7: b"\x80"})])) == "flags"
    table = resealed(parts[1], 4, {8 + 2: b"\0", 8 + 4: b"\7"})
    assert rule_of(lambda: gltp.decode([parts[0], table, *parts[2:]])) == "dtype"
    table = resealed(parts[1], 4, {8 + 64 + 4: b"\7"})
    assert rule_of(lambda: gltp.decode([parts[0], table, parts[2] + b"x", parts[3]])) == "payloadSize"
    bare = gltp.encode(message(Kind.CREDIT, {"credit_total": 1}, [Tensor.of(0xF000, np.int8([1]))]))
    head = resealed(bare[0][:64], 60, {58: b"\0\0"})
    assert rule_of(lambda: gltp.decode([head, b"", b""])) == "tlvMissing"


def test_damage_never_crashes():
    """Any flipped bit, cut or swapped part gives a message or a DecodeError, with repaired checksums too."""
    rng = random.Random(5)
    for _ in range(4000):
        parts = list(gltp.encode(rng.choice(MESSAGES[:5] + MESSAGES[6:])))
        which = rng.randrange(len(parts))
        part = bytearray(parts[which])
        for _ in range(rng.randint(1, 3)):
            if part:
                part[rng.randrange(len(part))] = rng.randrange(256)
        if rng.random() < 0.2:
            part = part[:rng.randrange(len(part) + 1)]
        parts[which] = bytes(part)
        if which < 2 and len(part) >= 8 + 56 * (which == 0) and rng.random() < 0.8:
            parts[which] = resealed(part, 4 if which else 60, {})
        if rng.random() < 0.1:
            rng.shuffle(parts)
        try:
            gltp.decode(parts)
        except gltp.DecodeError:
            pass
    gc.collect()


def test_unaligned_parts():
    parts = gltp.encode(MESSAGES[3])
    shifted = [memoryview(b"x" + part)[1:] for part in parts]
    assert gltp.decode(shifted).tensor("user_vector").array.tolist() == [1.5]
