"""Network files (XML) and checkpoints (safetensors), as docs/networks.md and docs/result.md describe them: read, and
written whole or not at all.
"""

import json
import os
import struct
import xml.etree.ElementTree as ElementTree

import numpy

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "relu6", "hardswish", "silu", "gelu")


class BadFile(Exception):
    """What is wrong with a file, in one line that begins with its name."""


def activated(name, z):
    """An activation in double precision."""
    clip = numpy.clip
    return {"identity": lambda: z, "relu": lambda: clip(z, 0, None), "tanh": lambda: numpy.tanh(z),
            "sigmoid": lambda: 1 / (1 + numpy.exp(-z)), "relu6": lambda: clip(z, 0, 6),
            "hardswish": lambda: z * clip(z + 3, 0, 6) / 6, "silu": lambda: z / (1 + numpy.exp(-z)),
            "gelu": lambda: z / 2 * (1 + numpy.tanh((2 / numpy.pi) ** 0.5 * (z + 0.044715 * z ** 3)))}[name]()


def read_network(path):
    """The root element of a network file."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as why:
        raise BadFile(f"{path}: cannot be read: {why}") from None
    if root.tag != "network" or root.get("input") is None:
        raise BadFile(f"{path}: a network file is wanted, <network input=\"...\">")
    return root


def read_checkpoint(path):
    """Metadata, and {name: float32 array}."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(8)
            size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            if not 2 <= size <= os.path.getsize(path):
                raise BadFile(f"{path}: truncated, or no safetensors file")
            header = json.loads(stream.read(size))
            data = stream.read()
        told = header.pop("__metadata__", {})
        return told, {name: tensor_of(path, name, entry, data) for name, entry in header.items()}
    except OSError as why:
        raise BadFile(f"{path}: cannot be read: {why.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadFile(f"{path}: its header is none of safetensors") from None


def tensor_of(path, name, entry, data):
    begin, end = entry["data_offsets"]
    if entry["dtype"] != "F32":
        raise BadFile(f"{path}: tensor \"{name}\" has the type {entry['dtype']}: F32 is allowed")
    if end > len(data) or end - begin != 4 * numpy.prod(entry["shape"], dtype=int):
        raise BadFile(f"{path}: tensor \"{name}\" is truncated")
    return numpy.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])


def checkpoint_bytes(told, tensors):
    header, blocks, at = {"__metadata__": told}, [], 0
    for name, values in tensors.items():
        blocks.append(numpy.ascontiguousarray(values, "<f4").tobytes())
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + len(blocks[-1])]}
        at += len(blocks[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blocks)


def write_all(files):
    """{path: bytes}: every one beside its place first, then all put there."""
    beside = {path: f"{path}.{os.getpid()}.part" for path in files}
    try:
        for path, data in files.items():
            with open(beside[path], "wb") as stream:
                stream.write(data)
        for path in files:
            os.replace(beside[path], path)
    except OSError as why:
        raise BadFile(f"{why.filename}: cannot be written: {why.strerror}") from None
    finally:
        for path in beside.values():
            if os.path.exists(path):
                os.remove(path)
