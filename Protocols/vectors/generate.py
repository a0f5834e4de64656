#!/usr/bin/env python3
"""Writes the golden messages of GLTP/1, from gltp-1.md alone and without the Swift codec.

    pip install lz4 xxhash && python3 Protocols/vectors/generate.py

valid/NAME.hex and invalid/NAME.hex hold one part a line in hexadecimal (an empty line is an empty part); NAME.json says what
they mean, or which rule they break. xxhash is optional: where it is installed, it judges the xxh32 written here.
"""
import json
import random
import shutil
import struct
from pathlib import Path

import lz4.frame

HERE = Path(__file__).parent
DTYPES = {"F32": 1, "F16": 2, "BF16": 3, "I8": 4, "U8": 5, "I32": 6, "U32": 7, "I64": 8, "U64": 9, "F64": 10, "BOOL": 11,
          "I16": 12, "U16": 13}
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "I32": 4, "U32": 4, "I64": 8, "U64": 8, "F64": 8, "BOOL": 1,
         "I16": 2, "U16": 2}
KINDS = dict(HELLO=1, WELCOME=2, REJECT=3, PING=4, PONG=5, CREDIT=6, DRAIN=7, BYE=8, REQUEST=16, INPUT=17, PARTIAL=18,
             END=19, CANCEL=20, ACK=21, STATUS=32, REPORT=33)
FINAL, PROVISIONAL, INCOMPLETE, STREAM, TITLES, RETRY, CANARY = 1, 2, 4, 8, 16, 32, 64
RAW, LZ4, SHUFFLED = 0, 1, 2
BIG_UNIT = bytes(range(251))
BIG = BIG_UNIT * 1200


# XXH32 with seed 0, after doc/xxhash_spec.md.
P1, P2, P3, P4, P5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
M = 0xFFFFFFFF


def rotl(x, r):
    return ((x << r) | (x >> (32 - r))) & M


def xxh32(data):
    acc = [(P1 + P2) & M, P2, 0, (-P1) & M]
    at = 0
    while at + 16 <= len(data):
        for i, lane in enumerate(struct.unpack_from("<4I", data, at)):
            acc[i] = rotl((acc[i] + lane * P2) & M, 13) * P1 & M
        at += 16
    h = P5 if len(data) < 16 else (rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18)) & M
    h = (h + len(data)) & M
    while at + 4 <= len(data):
        h = rotl((h + struct.unpack_from("<I", data, at)[0] * P3) & M, 17) * P4 & M
        at += 4
    for byte in data[at:]:
        h = rotl((h + byte * P5) & M, 11) * P1 & M
    h = (h ^ h >> 15) * P2 & M
    h = (h ^ h >> 13) * P3 & M
    return h ^ h >> 16


def tree(data):
    if len(data) <= 512:
        return xxh32(data)
    return xxh32(b"".join(struct.pack("<I", xxh32(data[i:i + 512])) for i in range(0, len(data), 512)))


try:
    import xxhash
    for n in list(range(70)) + [1024, 4099]:
        sample = random.Random(n).randbytes(n)
        assert xxh32(sample) == xxhash.xxh32_intdigest(sample)
except ImportError:
    pass


# Payloads.
def shuffle(raw, width):
    return b"".join(raw[i::width] for i in range(width))


def lz4_frame(raw, block=lz4.frame.BLOCKSIZE_MAX64KB, **options):
    options = {"store_size": True, "block_linked": False, "content_checksum": False, **options}
    return lz4.frame.compress(raw, block_size=block, **options)


def frame_header(size, flg=0x68, bd=0x40):
    descriptor = struct.pack("<BBQ", flg, bd, size)
    return b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32(descriptor) >> 8 & 255])


def stored_frame(raw, bd=0x40):
    return frame_header(len(raw), bd=bd) + struct.pack("<I", 0x80000000 | len(raw)) + raw + bytes(4)


class Tensor:
    """A tensor, and anything about it that a vector wants to be wrong."""

    def __init__(self, id, dtype, shape, raw, codec=LZ4, payload=None, **wrong):
        self.id, self.dtype, self.shape, self.raw, self.wrong = id, dtype, shape, raw, wrong
        self.codec = RAW if not raw else codec
        if payload is not None:
            self.payload = payload
        elif self.codec == RAW:
            self.payload = raw
        else:
            self.payload = lz4_frame(shuffle(raw, SIZES[dtype]) if self.codec == SHUFFLED else raw)

    def descriptor(self):
        wrong = self.wrong
        shape = list(wrong.get("extents", self.shape))
        shape += [0] * (6 - len(shape))
        return struct.pack(
            "<HBBB3s6IQII16s", self.id, wrong.get("dtype_code", DTYPES[self.dtype]), wrong.get("codec_code", self.codec),
            wrong.get("rank", len(self.shape)), wrong.get("reserved", bytes(3)), *shape, wrong.get("raw_bytes", len(self.raw)),
            wrong.get("stored_bytes", len(self.payload)), wrong.get("checksum", tree(self.payload)), bytes(16))

    def meaning(self):
        raw = self.raw.hex()
        if self.raw and self.raw == BIG:
            raw = {"repeat": BIG_UNIT.hex(), "times": len(BIG) // len(BIG_UNIT)}
        return {"id": self.id, "dtype": self.dtype, "codec": self.codec, "shape": list(self.shape), "raw": raw}


def i32(id, values, codec=SHUFFLED):
    return Tensor(id, "I32", [len(values)], struct.pack(f"<{len(values)}i", *values), codec)


def f32(id, values, codec=LZ4):
    return Tensor(id, "F32", [len(values)], struct.pack(f"<{len(values)}f", *values), codec)


def strings(id, values, raw=None):
    if raw is None:
        raw = b"".join(struct.pack("<H", len(v.encode())) + v.encode() for v in values)
    return Tensor(id, "U8", [len(raw)], raw)


# TLVs: name -> (kind, bytes from the value in JSON).
def text(v):
    return v.encode()


TLVS = {
    "version_range": (1, lambda v: bytes(v)), "features": (2, lambda v: struct.pack("<Q", v)),
    "version": (3, lambda v: bytes(v)), "peer_id": (4, text), "role": (5, lambda v: bytes([v])),
    "boot_id": (6, bytes.fromhex), "user_id": (7, text), "build": (8, text), "count": (9, lambda v: struct.pack("<I", v)),
    "slots": (10, lambda v: struct.pack("<I", v)), "mode": (11, lambda v: bytes([v])),
    "timing": (12, lambda v: struct.pack("<BBH4I", v["stage"], 0, v["attempt"], v["queue"], v["decode"], v["compute"],
                                         v["encode"])),
    "retrieve": (13, lambda v: struct.pack("<I", v)), "retry_after_ms": (14, lambda v: struct.pack("<I", v)),
    "exclusion": (15, lambda v: bytes([v])), "detail": (16, text), "bundle": (17, bytes.fromhex),
    "credit_total": (19, lambda v: struct.pack("<Q", v)), "items_seen": (21, lambda v: struct.pack("<I", v)),
    "items_total": (23, lambda v: struct.pack("<I", v)), "intervals": (25, lambda v: struct.pack("<2I", *v)),
    "limits": (27, lambda v: struct.pack("<3I", *v)),
}


def tlv(kind, value):
    return struct.pack("<HH", kind, len(value)) + value


def encode_tlvs(tlvs):
    out = b""
    for name, value in sorted(tlvs.items(), key=lambda item: TLVS[item[0]][0]):
        kind, pack = TLVS[name]
        for one in value if name in ("timing", "bundle") else [value]:
            out += tlv(kind, pack(one))
    return out


SESSION = 0x1122334455667788
REQUEST_ID = "0198f3c2a1b07d4e8f60123456789abc"
BUNDLE = "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210"


def seal(head, offset):
    head = bytearray(head)
    head[offset:offset + 4] = bytes(4)
    head[offset:offset + 4] = struct.pack("<I", xxh32(bytes(head)))
    return bytes(head)


def message(kind, tlvs=None, tensors=(), extra_tlvs=b"", patch=None, table_patch=None, **header):
    """The parts of a message. `patch` and `table_patch` change bytes before the checksum is made."""
    h = dict(flags=0, stage=0, stream=0, priority=1, attempt=0, status=0, request_id="00" * 16, session_id=SESSION,
             sequence=0, budget_ms=0, bundle_prefix="00" * 8)
    h.update(header)
    body = encode_tlvs(tlvs or {}) + extra_tlvs
    head = bytearray(struct.pack(
        "<4s8BHH16sQII8sHHI", b"GLT1", 1, 0, KINDS[kind], h["flags"], h["stage"], h["stream"], h["priority"], 0, h["attempt"],
        h["status"], bytes.fromhex(h["request_id"]), h["session_id"], h["sequence"], h["budget_ms"],
        bytes.fromhex(h["bundle_prefix"]), len(tensors), len(body), 0) + body)
    for offset, value in (patch or {}).items():
        head[offset:offset + len(value)] = value
    parts = [seal(head, 60)]
    if tensors:
        table = bytearray(struct.pack("<HHI", len(tensors), 0, 0) + b"".join(t.descriptor() for t in tensors))
        for offset, value in (table_patch or {}).items():
            table[offset:offset + len(value)] = value
        parts.append(seal(table, 4))
        parts += [t.payload for t in tensors]
    return parts, {"header": {"kind": KINDS[kind], **h, "session_id": f"{h['session_id']:016x}"}, "tlvs": tlvs or {},
                   "tensors": [t.meaning() for t in tensors]}


def write(folder, name, parts, meaning):
    (HERE / folder / f"{name}.hex").write_text("".join(p.hex() + "\n" for p in parts))
    (HERE / folder / f"{name}.json").write_text(json.dumps(meaning, indent=1, ensure_ascii=False) + "\n")


def valid(name, description, built, **more):
    parts, meaning = built
    write("valid", name, parts, {"description": description, **more, **meaning})


def invalid(name, error, description, parts, **more):
    if isinstance(parts, tuple):
        parts = parts[0]
    write("invalid", name, parts, {"description": description, "error": error, **more})


# Content.
rng = random.Random(1)
RUN = dict(request_id=REQUEST_ID, attempt=1, budget_ms=9876, bundle_prefix=BUNDLE[:16])
EDGE = dict(request_id=REQUEST_ID, attempt=1, budget_ms=10000)
HELLO_TLVS = {"version_range": [1, 0, 1, 0], "role": 5, "limits": [9 << 20, 32 << 20, 4], "bundle": [BUNDLE], "slots": 4}
REQUEST_TLVS = {"user_id": "u-17", "count": 10, "mode": 1}


def bf16(values):
    return b"".join(struct.pack("<f", v)[2:] for v in values)


def user_tensors(codec=LZ4):
    return [f32(1, [rng.gauss(0, 1) for _ in range(16)], codec), i32(2, [5, 3, 900, 12])]


def chunk(n=20, codec=SHUFFLED):
    return [i32(4, [7 * i + 3 for i in range(n)], codec), f32(5, [rng.gauss(0, 1) for _ in range(n)])]


def prompt():
    return [i32(6, [101] + [1996 + 3 * i for i in range(30)] + [103, 103]),
            Tensor(7, "BF16", [3, 8], bf16([rng.gauss(0, 1) for _ in range(24)])), i32(8, [2, 5, 9]), i32(9, [31, 32])]


def ranking(titles=False):
    out = [strings(32, ["B000-1", "Ærø", "item 3"]), f32(33, [3.5, 2.25, -1.0])]
    return out + [strings(34, ["One", "Two", "Drei: 三"])] if titles else out


SEEN = {"items_seen": 40, "items_total": 100}
TIMINGS = [{"stage": s, "attempt": s, "queue": 100 * s, "decode": 20 + s, "compute": 3000 * s, "encode": 40 + s}
           for s in (1, 2, 3)]


def make_valid():
    valid("hello-worker", "a ranker introduces itself", message("HELLO", {
        **HELLO_TLVS, "features": 5, "peer_id": "ranker-a", "boot_id": "0f" * 16, "build": "glta 1.0",
        "bundle": [BUNDLE, BUNDLE[::-1]]}, session_id=0))
    valid("hello-client", "the least that a client says", message(
        "HELLO", {"version_range": [1, 0, 1, 3], "role": 1, "limits": [1 << 20, 1 << 20, 4]}, session_id=0))
    valid("welcome", "a session begins", message("WELCOME", {
        "version": [1, 0], "peer_id": "gateway-0", "role": 2, "boot_id": "a1" * 16, "build": "glta 1.0",
        "bundle": [BUNDLE], "intervals": [2000, 6000], "limits": [9 << 20, 32 << 20, 4]}))
    valid("reject-version", "no common version", message("REJECT", {
        "version_range": [1, 0, 1, 0], "detail": "speaks 1.0 only"}, status=32, session_id=0))
    valid("reject-session", "unknown session", message("REJECT", {"retry_after_ms": 250}, status=33))
    valid("ping", "are you there", message("PING", sequence=7))
    valid("pong", "yes", message("PONG", sequence=7))
    valid("credit", "twelve requests since the session began", message("CREDIT", {"credit_total": 12}))
    valid("drain", "no new requests please", message("DRAIN", {"detail": "rolling upgrade"}))
    valid("bye", "an orderly end", message("BYE"))
    valid("bye-unknown-status", "a status of a later version survives", message("BYE", status=999))
    valid("request-user", "a client asks for a known user", message(
        "REQUEST", {**REQUEST_TLVS, "retrieve": 500, "exclusion": 2}, flags=STREAM | TITLES, priority=2, **EDGE))
    valid("request-items", "an unseen user, candidates and filters", message(
        "REQUEST", {"count": 3, "mode": 3},
        [strings(16, ["a", "b"]), strings(17, ["x1", "x2", "x3", "x4"]), strings(18, ["x9"]), strings(19, ["x1", "x2", "x3"])],
        **EDGE))
    valid("request-empty-list", "an allow-list that allows nothing is an empty tensor", message(
        "REQUEST", REQUEST_TLVS, [strings(19, [])], **EDGE))
    valid("request-encoder", "the gateway passes it on", message(
        "REQUEST", REQUEST_TLVS, [strings(18, ["x9"])], stage=1, flags=RETRY, **RUN))
    valid("request-aligner", "opens an aligner's run", message("REQUEST", REQUEST_TLVS, stage=2, **RUN))
    valid("request-ranker", "opens a ranker's run, user unknown", message(
        "REQUEST", {"count": 1000, "mode": 2}, stage=3, flags=CANARY | STREAM, **RUN))
    valid("partial-instruction", "an encoder's instruction input", message(
        "PARTIAL", tensors=user_tensors() + [i32(3, list(range(0, 600, 2)))], stage=1, stream=1, flags=FINAL, **RUN))
    valid("input-instruction", "the same for the aligner, no items", message(
        "INPUT", tensors=user_tensors(), stage=2, stream=1, flags=FINAL, **RUN))
    valid("input-empty-history", "a user of whom the prompt shows nothing", message(
        "INPUT", tensors=[f32(1, [0.5] * 4), i32(2, [])], stage=2, stream=1, flags=FINAL, **RUN))
    valid("partial-candidates", "an encoder's second chunk of candidates", message(
        "PARTIAL", {"items_total": 5000}, chunk(), stage=1, stream=2, sequence=1, **RUN))
    valid("input-candidates", "the last chunk for the ranker", message(
        "INPUT", {"items_total": 20}, chunk(), stage=3, stream=2, flags=FINAL, **RUN))
    valid("partial-prompt", "an aligner's prompt", message("PARTIAL", tensors=prompt(), stage=2, stream=1, flags=FINAL, **RUN))
    valid("input-prompt", "the prompt for the ranker", message("INPUT", tensors=prompt(), stage=3, stream=1, flags=FINAL, **RUN))
    valid("partial-ranking", "a ranker's provisional snapshot", message(
        "PARTIAL", SEEN, ranking(), stage=3, stream=3, flags=PROVISIONAL, **RUN))
    valid("partial-ranking-client", "a snapshot for the client, with titles", message(
        "PARTIAL", SEEN, ranking(True), stream=3, sequence=2, **EDGE))
    valid("end-encoder", "an encoder is done", message("END", {"timing": TIMINGS[:1]}, stage=1, **RUN))
    valid("end-ranker", "the final ranking", message(
        "END", {"timing": TIMINGS[2:], "items_seen": 100, "items_total": 100}, ranking(), stage=3, **RUN))
    valid("end-client", "the final ranking and where the time went", message(
        "END", {"timing": TIMINGS, "items_seen": 100, "items_total": 100}, ranking(True), **EDGE))
    valid("end-deadline", "too late: the provisional ranking", message(
        "END", SEEN, ranking(), status=1, flags=PROVISIONAL | INCOMPLETE, **EDGE))
    valid("end-overloaded", "come back later", message(
        "END", {"retry_after_ms": 1500, "detail": "queue full"}, status=3, **EDGE))
    valid("end-corrupt", "the second chunk of candidates was damaged", message(
        "END", status=13, stage=3, stream=2, sequence=1, **RUN))
    valid("cancel", "stop", message("CANCEL", **EDGE))
    valid("ack", "three chunks of candidates have room", message("ACK", stage=3, stream=2, sequence=3, **RUN))
    valid("status", "how is it going", message("STATUS", request_id=REQUEST_ID))
    report = '{"role":"ranker","running":1,"note":"größer"}'.encode()
    valid("report", "like this", message("REPORT", tensors=[Tensor(48, "U8", [len(report)], report)], request_id=REQUEST_ID))

    # Every dtype by every codec, as private tensors of a PING.
    def every(codec, names):
        return [Tensor(0xF000 + DTYPES[n], n, [3, 10], rng.randbytes(15 * SIZES[n]) + bytes(15 * SIZES[n]), codec) for n in names]
    names = list(DTYPES)
    wide = [n for n in names if SIZES[n] > 1]
    for title, codec, some in [("lz4-1", LZ4, names[:8]), ("lz4-2", LZ4, names[8:]), ("shuffled-1", SHUFFLED, wide[:8]),
                               ("shuffled-2", SHUFFLED, wide[8:])]:
        valid(f"dtypes-{title}", "private tensors of many dtypes", message("PING", tensors=every(codec, some)), private=True)
    for title, some in [("1", names[:8]), ("2", names[8:])]:
        valid(f"dtypes-raw-{title}", "between peers of one process payloads may be bare", message(
            "PING", tensors=every(RAW, some)), private=True, raw_payloads=True)
    valid("ranks", "one to six dimensions, and none of an extent", message("PING", tensors=[
        Tensor(0xF001, "U8", [4], b"abcd"), Tensor(0xF006, "I16", [1, 2, 1, 2, 1, 2], rng.randbytes(16)),
        Tensor(0xF007, "F64", [3, 0, 2], b"")]), private=True)

    # Ways to write a frame.
    def one(payload, raw=BIG, codec=LZ4, dtype="U8"):
        return message("PING", tensors=[Tensor(0xF000, dtype, [len(raw) // SIZES[dtype]], raw, codec, payload)])
    valid("frame-64k-blocks", "many blocks", one(lz4_frame(BIG)), private=True)
    valid("frame-256k-blocks", "two blocks", one(lz4_frame(BIG, lz4.frame.BLOCKSIZE_MAX256KB)), private=True)
    valid("frame-1m-blocks", "one block", one(lz4_frame(BIG, lz4.frame.BLOCKSIZE_MAX1MB)), private=True)
    valid("frame-high-level", "another compressor's choice", one(lz4_frame(BIG, compression_level=9)), private=True)
    small = rng.randbytes(3000)
    valid("frame-stored", "one stored block", one(stored_frame(small), small), private=True)
    valid("frame-stored-shuffled", "one stored block of shuffled elements", one(
        stored_frame(shuffle(small, 4)), small, SHUFFLED, "U32"), private=True)
    halves = (frame_header(len(small)) + b"".join(
        struct.pack("<I", 0x80000000 | len(h)) + h for h in (small[:1000], small[1000:])) + bytes(4))
    valid("frame-stored-twice", "two stored blocks", one(halves, small), private=True)
    for n in (488, 489, 490, 2048 - 23, 2000, 4096 - 23, 5000):
        raw = rng.randbytes(n)
        valid(f"tree-{n}", "payloads around the bounds of the checksum's leaves", one(stored_frame(raw), raw), private=True)

    parts, meaning = message("CREDIT", {"credit_total": 5}, extra_tlvs=tlv(0xF002, b"later") + tlv(16, b"\xff"))
    valid("tlv-ignorable", "unknown and unexpected even kinds are skipped", (parts, meaning), canonical=False)


def make_invalid():
    ping = message("PING")[0]
    hello = {**HELLO_TLVS}

    def patched(offset, value, kind="PING", **more):
        return message(kind, patch={offset: value}, **more)

    # Head.
    invalid("no-parts", "headSize", "nothing at all", [])
    invalid("head-short", "headSize", "63 bytes", [ping[0][:63]])
    invalid("head-long", "headSize", "4,097 bytes", [ping[0] + bytes(4033)])
    invalid("magic", "magic", "GLT2", patched(0, b"GLT2"))
    invalid("version-major", "version", "2.0", patched(4, b"\2"))
    invalid("version-minor", "version", "1.9", patched(5, b"\x09"))
    invalid("head-checksum", "headChecksum", "one bit of the session", [bytes([*ping[0][:32], ping[0][32] ^ 1, *ping[0][33:]])])
    invalid("kind", "kind", "kind 9", patched(6, b"\x09"))
    invalid("stage", "stage", "stage 4", patched(8, b"\4", "CANCEL"))
    invalid("stage-of-kind", "stage", "a PING of the ranker", message("PING", stage=3))
    invalid("stage-of-input", "stage", "INPUT for the encoder", message("INPUT", stage=1, stream=1))
    invalid("stream", "stream", "stream 4", patched(9, b"\4", "ACK", stage=3))
    invalid("stream-of-kind", "stream", "candidates of the aligner", message("PARTIAL", stage=2, stream=2))
    invalid("stream-missing", "stream", "ACK of nothing", message("ACK", stage=2))
    invalid("priority", "priority", "priority 3", message("PING", priority=3))
    invalid("header-reserved", "headerReserved", "byte 11", patched(11, b"\1"))
    invalid("status", "status", "PING with a status", message("PING", status=1))
    invalid("tensor-count", "tensorCount", "nine", patched(56, b"\x09\0"))
    invalid("tlv-size", "tlvSize", "says four more bytes", patched(58, b"\4\0"))
    invalid("flag-reserved", "flags", "bit 0x80", message("REQUEST", REQUEST_TLVS, flags=0x80, **EDGE))
    invalid("flag-of-kind", "flags", "PING, STREAM", message("PING", flags=STREAM))
    invalid("flag-final-ranking", "flags", "a ranking marked FINAL", message(
        "PARTIAL", SEEN, ranking(), stage=3, stream=3, flags=FINAL, **RUN))
    invalid("part-extra", "partCount", "a part behind a PING", ping + [b"x"])
    full = message("INPUT", {"items_total": 20}, chunk(), stage=3, stream=2, **RUN)[0]
    invalid("part-missing", "partCount", "the last payload is missing", full[:-1])

    # TLVs.
    invalid("tlv-truncated-header", "tlvTruncated", "three bytes", message("PING", extra_tlvs=b"\2\0\1"))
    invalid("tlv-truncated-value", "tlvTruncated", "200 bytes of 5", message("PING", extra_tlvs=struct.pack("<HH", 2, 200) + b"abcde"))
    invalid("tlv-unknown", "tlvUnknown", "kind 29 is odd and unknown", message("PING", extra_tlvs=tlv(29, b"")))
    invalid("tlv-unexpected", "tlvUnexpected", "PING with a user", message("PING", {"user_id": "u"}))
    invalid("tlv-duplicate", "tlvDuplicate", "two users", message("REQUEST", REQUEST_TLVS, extra_tlvs=tlv(7, b"v"), **EDGE))
    invalid("tlv-repeated-too-often", "tlvDuplicate", "four timings", message("END", {"timing": TIMINGS + TIMINGS[:1]}, stage=1, **RUN))
    invalid("tlv-length", "tlvLength", "a count of three bytes", message("REQUEST", {"mode": 1, "user_id": "u"}, extra_tlvs=tlv(9, b"\1\0\0"), **EDGE))
    invalid("tlv-length-empty-user", "tlvLength", "an empty user", message("REQUEST", {**REQUEST_TLVS, "user_id": ""}, **EDGE))
    for title, bad in [("continuation", b"\x80"), ("overlong", b"\xc0\xaf"), ("surrogate", b"\xed\xa0\x80"), ("beyond", b"\xf4\x90\x80\x80"),
                       ("cut", b"a\xe4\xb8")]:
        invalid(f"tlv-text-{title}", "tlvText", "not UTF-8", message("REQUEST", {"count": 1, "mode": 1}, extra_tlvs=tlv(7, bad), **EDGE))
    invalid("tlv-value-count-zero", "tlvValue", "no items", message("REQUEST", {**REQUEST_TLVS, "count": 0}, **EDGE))
    invalid("tlv-value-count", "tlvValue", "1,001 items", message("REQUEST", {**REQUEST_TLVS, "count": 1001}, **EDGE))
    invalid("tlv-value-mode", "tlvValue", "mode 4", message("REQUEST", {**REQUEST_TLVS, "mode": 4}, **EDGE))
    invalid("tlv-value-role", "tlvValue", "role 6", message("HELLO", {**hello, "role": 6}, session_id=0))
    invalid("tlv-value-range", "tlvValue", "from 1.2 to 1.1", message("HELLO", {**hello, "version_range": [1, 2, 1, 1]}, session_id=0))
    invalid("tlv-value-intervals", "tlvValue", "expiry before the second heartbeat", message("WELCOME", {
        "version": [1, 0], "role": 2, "intervals": [2000, 3000], "limits": [1000, 1000, 4]}))
    invalid("tlv-value-limits", "tlvValue", "a window of 5", message("HELLO", {**hello, "limits": [1000, 1000, 5]}, session_id=0))
    invalid("tlv-value-timing", "tlvValue", "timing of stage 4", message("END", {"timing": [{**TIMINGS[0], "stage": 4}]}, stage=1, **RUN))
    invalid("tlv-missing", "tlvMissing", "no mode", message("REQUEST", {"user_id": "u", "count": 1}, **EDGE))

    # Table.
    def probe(tensor, kind="PING", **more):
        return message(kind, tensors=[tensor], **more)
    good = lambda **wrong: Tensor(0xF000, "I32", [5], struct.pack("<5i", *range(5)), SHUFFLED, **wrong)
    parts = probe(good())[0]
    invalid("table-short", "tableSize", "one byte less", [parts[0], parts[1][:-1], parts[2]])
    invalid("table-checksum", "tableChecksum", "one bit", [parts[0], parts[1][:-1] + b"\1", parts[2]])
    invalid("table-count", "tableCount", "says two", message("PING", tensors=[good()], table_patch={0: b"\2\0"}))
    invalid("table-reserved", "tableReserved", "bytes 2 and 3", message("PING", tensors=[good()], table_patch={2: b"\1\0"}))

    # Descriptors.
    invalid("tensor-duplicate", "tensorDuplicate", "twice the same", message("PING", tensors=[good(), good()]))
    invalid("dtype-0", "dtype", "dtype 0", probe(good(dtype_code=0)))
    invalid("dtype-14", "dtype", "dtype 14", probe(good(dtype_code=14)))
    invalid("codec", "codec", "codec 3", probe(good(codec_code=3)))
    invalid("codec-dtype", "codecDtype", "shuffled bytes", probe(Tensor(0xF000, "U8", [100], bytes(100), SHUFFLED)))
    invalid("codec-raw", "codecRefused", "a bare payload from the network", probe(Tensor(0xF000, "U8", [4], b"abcd", RAW)))
    invalid("rank-0", "rank", "rank 0", probe(good(rank=0)))
    invalid("rank-7", "rank", "rank 7", probe(good(rank=7)))
    invalid("descriptor-reserved", "descriptorReserved", "byte 5", probe(good(reserved=b"\1\0\0")))
    invalid("descriptor-reserved-tail", "descriptorReserved", "byte 63", message("PING", tensors=[good()], table_patch={71: b"\1"}))
    invalid("shape-tail", "shapeTail", "an extent beyond the rank", probe(good(extents=[5, 1])))
    invalid("raw-bytes", "rawBytes", "one byte more than the shape", probe(good(raw_bytes=21)))
    invalid("raw-bytes-overflow", "rawBytes", "a product of 2^192", probe(Tensor(0xF000, "I64", [0xFFFFFFFF] * 6, bytes(8), raw_bytes=8)))
    invalid("raw-bytes-wraps", "rawBytes", "a product that wraps to the stated size", probe(
        Tensor(0xF000, "U8", [1 << 31, 1 << 31, 4], b"", raw_bytes=0, codec=RAW)))
    invalid("empty-tensor-stored", "emptyTensor", "a frame for nothing", probe(Tensor(0xF000, "U8", [0], b"", payload=stored_frame(b""))))
    invalid("empty-tensor-codec", "emptyTensor", "codec 1 for nothing", probe(WithCodec(0xF000, "U8", [0], b"")))
    invalid("tensor-too-large", "tensorTooLarge", "8 MiB and one byte", probe(Claimed((8 << 20) + 1)))
    invalid("tensor-too-large-client", "tensorTooLarge", "256 KiB and one byte from a client", probe(Claimed((256 << 10) + 1)), limits="clientEdge")
    half = bytes(200 << 10)
    invalid("message-too-large-client", "messageTooLarge", "six times 200 KiB from a client", message(
        "PING", tensors=[Tensor(0xF000 + i, "U8", [200 << 10], half) for i in range(6)]), limits="clientEdge")
    invalid("stored-too-large", "storedTooLarge", "a frame of 200 bytes for 4", probe(Tensor(0xF000, "U8", [4], b"abcd", payload=stored_frame(b"abcd") + bytes(200))))
    invalid("decode-budget", "decodeBudget", "64 KiB for a process that has 32 KiB left", probe(
        Tensor(0xF000, "I32", [16 << 10], struct.pack("<16384i", *range(16384)), SHUFFLED)), budget=32 << 10)
    invalid("bomb", "expansion", "8 MiB promised by 100 bytes", probe(Claimed(8 << 20, 100)))
    invalid("payload-size", "payloadSize", "one byte more than stated", probe(good(stored_bytes=len(good().payload) - 1)))

    # What the kind requires.
    invalid("tensor-unexpected", "tensorUnexpected", "a user vector among candidates", message(
        "INPUT", {"items_total": 20}, chunk() + [f32(1, [1.0])], stage=3, stream=2, **RUN))
    invalid("tensor-unregistered", "tensorUnexpected", "tensor 60", probe(i32(60, [1])))
    invalid("tensor-dtype", "tensorDtype", "candidates as I64", message("INPUT", {"items_total": 20}, [
        Tensor(4, "I64", [20], bytes(160)), chunk()[1]], stage=3, stream=2, **RUN))
    invalid("tensor-rank", "tensorRank", "candidates as a matrix", message("INPUT", {"items_total": 20}, [
        Tensor(4, "I32", [4, 5], bytes(80)), chunk()[1]], stage=3, stream=2, **RUN))
    invalid("tensor-missing", "tensorMissing", "no prior", message("INPUT", {"items_total": 20}, chunk()[:1], stage=3, stream=2, **RUN))
    invalid("tensor-missing-all", "tensorMissing", "a chunk of nothing", message("INPUT", {"items_total": 20}, stage=3, stream=2, **RUN))
    invalid("tensor-shape", "tensorShape", "20 ids, 19 priors", message("INPUT", {"items_total": 20}, [
        chunk()[0], f32(5, [0.5] * 19)], stage=3, stream=2, **RUN))
    invalid("tensor-shape-empty", "tensorShape", "a chunk without candidates", message("INPUT", {"items_total": 20}, [
        i32(4, []), f32(5, [])], stage=3, stream=2, **RUN))
    invalid("tensor-shape-prompt", "tensorShape", "3 soft tokens, 2 positions", message("INPUT", tensors=[
        *prompt()[:2], i32(8, [1, 2]), prompt()[3]], stage=3, stream=1, **RUN))
    invalid("contradiction-subject", "contradiction", "for nobody", message("REQUEST", {"count": 1, "mode": 1}, **EDGE))
    invalid("contradiction-candidates", "contradiction", "candidates given and retrieved", message(
        "REQUEST", {**REQUEST_TLVS, "retrieve": 5}, [strings(17, ["x"])], **EDGE))
    invalid("contradiction-worker", "contradiction", "a worker without bundle", message(
        "HELLO", {k: v for k, v in hello.items() if k != "bundle"}, session_id=0))
    invalid("contradiction-gateway", "contradiction", "a gateway that dials", message("HELLO", {**hello, "role": 2}, session_id=0))
    invalid("contradiction-end", "contradiction", "OK without a ranking", message("END", **EDGE))
    invalid("contradiction-end-error", "contradiction", "BAD_REQUEST with a ranking", message("END", SEEN, ranking(), status=5, **EDGE))
    invalid("contradiction-end-flag", "contradiction", "OK, INCOMPLETE", message("END", SEEN, ranking(), flags=INCOMPLETE, **EDGE))
    invalid("contradiction-end-seen", "contradiction", "a ranking without items_seen", message("END", {}, ranking(), **EDGE))

    # Payloads.
    parts = probe(good())[0]
    invalid("payload-checksum", "payloadChecksum", "one bit of the payload", [*parts[:2], bytes([*parts[2][:-5], parts[2][-5] ^ 4, *parts[2][-4:]])])
    raw = bytes(range(100)) * 3

    def frame(name, error, description, payload):
        invalid(name, error, description, probe(Tensor(0xF000, "U8", [300], raw, payload=payload)))
    ok = lz4_frame(raw)

    def rehead(flg=0x68, bd=0x40, size=300):
        return frame_header(size, flg, bd) + ok[15:]
    frame("lz4-magic", "lz4Magic", "a legacy frame's magic", b"\x02\x21\x4c\x18" + ok[4:])
    frame("lz4-version", "lz4Flags", "version 00", rehead(flg=0x28))
    frame("lz4-linked", "lz4Flags", "linked blocks", rehead(flg=0x48))
    frame("lz4-block-checksum", "lz4Flags", "block checksums", lz4_frame(raw, block_checksum=True))
    frame("lz4-no-size", "lz4Flags", "no content size", lz4_frame(raw, store_size=False))
    frame("lz4-content-checksum", "lz4Flags", "a content checksum", lz4_frame(raw, content_checksum=True))
    frame("lz4-reserved", "lz4Flags", "the reserved bit", rehead(flg=0x6A))
    frame("lz4-dictionary", "lz4Flags", "a dictionary", rehead(flg=0x69))
    frame("lz4-4m-blocks", "lz4BlockSize", "blocks of 4 MiB", rehead(bd=0x70))
    frame("lz4-bd-reserved", "lz4BlockSize", "a reserved bit of BD", rehead(bd=0x41))
    frame("lz4-content-size", "lz4ContentSize", "says 301", rehead(size=301))
    frame("lz4-header-check", "lz4HeaderChecksum", "one bit", ok[:14] + bytes([ok[14] ^ 1]) + ok[15:])
    header = frame_header(300)
    frame("lz4-block", "lz4Block", "a match before the beginning", header + struct.pack("<I", 4) + b"\x1fa\xff\xff" + bytes(4))
    frame("lz4-block-too-long", "lz4Block", "a block of 2 MiB", header + struct.pack("<I", 2 << 20) + bytes(40))
    frame("lz4-output-less", "lz4Output", "299 bytes", header + struct.pack("<I", 0x80000000 | 299) + raw[:299] + bytes(4))
    frame("lz4-output-more", "lz4Output", "301 bytes", header + struct.pack("<I", 0x80000000 | 301) + raw + b"x" + bytes(4))
    frame("lz4-truncated-header", "lz4Truncated", "ten bytes of a header", ok[:10])
    frame("lz4-truncated-block", "lz4Truncated", "the end of the block is missing", ok[:-9])
    frame("lz4-truncated-end", "lz4Truncated", "no end mark", ok[:-4])
    frame("lz4-trailing", "lz4Trailing", "a byte behind the end mark", ok + b"x")
    frame("lz4-second-frame", "lz4Trailing", "a second frame", ok + lz4_frame(b"y")[:30])

    # Contents.
    def listed(name, description, raw):
        invalid(name, "stringList", description, message("REQUEST", REQUEST_TLVS, [strings(18, None, raw)], **EDGE))
    listed("string-list-cut-length", "one byte of a length", b"\1\0a\1")
    listed("string-list-cut", "a string runs over the end", b"\5\0abcd")
    listed("string-list-empty-string", "an empty string", b"\1\0a\0\0")
    listed("string-list-long", "513 bytes", b"\1\2" + b"a" * 513)
    listed("string-list-text", "not UTF-8", b"\1\0\xff")
    listed("string-list-count", "65,537 strings", b"\1\0a" * 65537)
    invalid("string-list-ranking", "stringList", "two items, three scores", message(
        "PARTIAL", SEEN, [strings(32, ["a", "b"]), f32(33, [3, 2, 1])], stage=3, stream=3, **RUN))


class WithCodec(Tensor):
    """An empty tensor that claims to be compressed."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.wrong["codec_code"] = LZ4


class Claimed(Tensor):
    """A U8 tensor that claims a size without having it."""

    def __init__(self, size, stored=None):
        payload = bytes(stored if stored is not None else size // 200)
        super().__init__(0xF000, "U8", [size], b"", payload=payload, raw_bytes=size)
        self.codec = LZ4


if __name__ == "__main__":
    for folder in ("valid", "invalid"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    make_valid()
    make_invalid()
    print(len(list((HERE / "valid").glob("*.hex"))), "valid,", len(list((HERE / "invalid").glob("*.hex"))), "invalid")
