"""Reads a bundle with nothing but the standard library and checks that its parts fit together."""

import hashlib
import json
import os
import struct
import sys

SIZES = {"F32": 4, "BF16": 2, "F16": 2, "I32": 4, "I64": 8}


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        data = file.read()
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        count = 1
        for extent in entry["shape"]:
            count *= extent
        assert end - begin == count * SIZES[entry["dtype"]], name
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def main(folder):
    def load(name):
        return json.load(open(os.path.join(folder, name)))

    manifest, users, items = load("manifest.json"), load("users.json"), load("items.json")
    assert manifest["data"]["users"] == len(users)
    assert manifest["data"]["items"] == len(items["ids"])
    graph = read_safetensors(os.path.join(folder, "graph.safetensors"))
    shapes = {name: shape for name, (_, shape, _) in graph.items()}
    assert shapes["users"][0] == len(users) and shapes["items"][0] == len(items["ids"]), shapes
    interactions = read_safetensors(os.path.join(folder, "interactions.safetensors"))
    count = 0
    for part in ("train", "validation", "test"):
        _, (rows,), offsets = interactions[part + ".offsets"]
        offsets = struct.unpack(f"<{rows}q", offsets)
        _, (n,), indices = interactions[part + ".items"]
        indices = struct.unpack(f"<{n}i", indices)
        assert rows == len(users) + 1 and offsets[0] == 0 and offsets[-1] == n
        assert all(0 <= index < len(items["ids"]) for index in indices)
        count += n
    assert count == manifest["data"]["interactions"], count
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            read_safetensors(os.path.join(folder, name))
    digest = hashlib.sha256()
    for name in sorted(set(os.listdir(folder)) - {"content-hash", "origin.json", "language-model"}):
        inner = hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest()
        digest.update(f"{len(name)} {name} {inner}\n".encode())
    assert digest.hexdigest() == open(os.path.join(folder, "content-hash")).read().strip()


main(sys.argv[1])
