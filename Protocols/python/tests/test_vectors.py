"""The golden messages of Protocols/vectors, which judge this codec and are judged by it."""
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import gltp
from gltp.codec import CLIENT_EDGE, IN_PROCESS, NETWORK, MemoryBudget

FOLDER = Path(os.environ.get("GLTP_VECTORS", Path(__file__).resolve().parents[2] / "vectors"))
VALID = sorted((FOLDER / "valid").glob("*.json"))
INVALID = sorted((FOLDER / "invalid").glob("*.json"))

if not VALID:
    pytest.skip(f"no vectors in {FOLDER}; GLTP_VECTORS names another folder", allow_module_level=True)


def load(path):
    parts = [bytes.fromhex(line) for line in path.with_suffix(".hex").read_text().splitlines()]
    meaning = json.loads(path.read_text())
    limits = {"clientEdge": CLIENT_EDGE}[meaning["limits"]] if "limits" in meaning else NETWORK
    if "budget" in meaning:
        limits = replace(limits, budget=MemoryBudget(meaning["budget"]))
    return parts, meaning, IN_PROCESS if meaning.get("raw_payloads") else limits


def header_meaning(header):
    out = asdict(header)
    out["request_id"], out["bundle_prefix"] = header.request_id.hex(), header.bundle_prefix.hex()
    out["session_id"] = f"{header.session_id:016x}"
    return out


def tlv_meaning(tlvs):
    plain = {bytes: bytes.hex, tuple: list}
    out = {name: plain.get(type(value), lambda v: v)(value) for name, value in tlvs.items()}
    if "bundle" in out:
        out["bundle"] = [b.hex() for b in out["bundle"]]
    if "timing" in out:
        out["timing"] = [asdict(t) for t in out["timing"]]
    return out


def raw_of(meaning):
    raw = meaning["raw"]
    return bytes.fromhex(raw) if isinstance(raw, str) else bytes.fromhex(raw["repeat"]) * raw["times"]


def assert_meaning(message, meaning, codecs=True):
    assert header_meaning(message.header) == meaning["header"]
    assert tlv_meaning(message.tlvs) == meaning["tlvs"]
    assert len(message.tensors) == len(meaning["tensors"])
    for tensor, expected in zip(message.tensors, meaning["tensors"]):
        assert (tensor.id, tensor.dtype, list(tensor.shape)) == (expected["id"], expected["dtype"], expected["shape"])
        assert tensor.raw.tobytes() == raw_of(expected)
        assert tensor.array.shape == tensor.shape
        if codecs:
            assert tensor.codec == expected["codec"]


def blank(table):
    """A table without what an encoder may choose (3.8): codec, stored_bytes, payload_xxh32, hence table_xxh32."""
    table = bytearray(table)
    table[4:8] = bytes(4)
    for at in range(8, len(table), 64):
        table[at + 3] = 0
        table[at + 40:at + 48] = bytes(8)
    return bytes(table)


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_valid(path):
    parts, meaning, limits = load(path)
    message = gltp.decode(parts, limits, keep_private=meaning.get("private", False))
    assert_meaning(message, meaning)
    if meaning.get("private"):
        assert gltp.decode(parts, limits).tensors == []
    for tensor in message.tensors:
        tensor.codec = None  # the encoder's own choice
    again = gltp.encode(message, limits)
    if meaning.get("canonical", True):
        assert again[0] == parts[0]
        assert len(again) == len(parts)
        assert [blank(p) for p in again[1:2]] == [blank(p) for p in parts[1:2]]
    assert_meaning(gltp.decode(again, limits, keep_private=True), meaning, codecs=False)


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_invalid(path):
    parts, meaning, limits = load(path)
    with pytest.raises(gltp.DecodeError) as caught:
        gltp.decode(parts, limits)
    assert caught.value.rule == meaning["error"]


def test_there_are_many():
    assert len(VALID) > 40 and len(INVALID) > 90
