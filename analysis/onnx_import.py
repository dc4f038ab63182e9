#!/usr/bin/python3
"""A network of another framework, as ONNX, to a network file and its parameters.

NAME.xml is the network as models/networks has them, NAME.safetensors its parameters for --load of ringsim and ringnode, with
class names and standardisation where the model tells them. What PyTorch's TorchScript exporter writes of
convolutions, dense layers, pools, norms, activations, sums of two branches, embeddings and attention comes in; what cannot be
expressed is named, with what is allowed, and nothing is written.

Examples:
  analysis/onnx_import.py resnet.onnx -o resnet
  ringnode mine.xml --set network=resnet.xml --load resnet.safetensors --predict x.npy --out y.npy
"""

import argparse
import os
import sys

try:
    import numpy
    import onnx
    import onnx.numpy_helper
    from google.protobuf.message import DecodeError
except ImportError as why:
    sys.exit(f"{why}: Debian's python3-onnx is needed")

import netfiles
import onnxnodes
import onnxunits

NEWEST = 20  # opset whose operators are known


def read_model(path):
    try:
        model = onnx.load(path)
    except OSError as why:
        raise netfiles.BadFile(f"{path}: cannot be read: {why.strerror or why}") from None
    except (DecodeError, ValueError, onnx.checker.ValidationError) as why:
        raise netfiles.BadFile(f"{path}: no ONNX model: {why}") from None
    if not model.graph.node:
        raise netfiles.BadFile(f"{path}: no ONNX model: it has no nodes")
    return model


def opset_of(model):
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not 9 <= opset <= NEWEST:
        raise onnxunits.Refused(None, f"opset {opset}: 9 to {NEWEST} are allowed")
    return opset


def metadata_of(model, first, name):
    """What a checkpoint tells beside its tensors; x = (read - mean) / deviation, of factor read + summand."""
    told = {"format": "ringtmp", "network": name}
    props = {entry.key: entry.value for entry in model.metadata_props}
    if "class_names" in props:
        told["class_names"] = props["class_names"]
    if first.tensors:
        factor, summand = (numpy.broadcast_to(first.tensors[key], first.shape).ravel() for key in ("factor", "summand"))
        told["inputs_mean"] = ",".join(f"{value:.17g}" for value in -summand / factor + 0.0)
        told["inputs_deviation"] = ",".join(f"{value:.17g}" for value in 1 / factor)
    return told


def convert(path, out, loss):
    model = read_model(path)
    name = os.path.basename(out)
    try:
        last = onnxnodes.last_unit(model.graph, opset_of(model))
        text, tensors, first = onnxunits.network_of(last, name, loss)
    except onnxunits.Refused as why:
        where = f"node \"{why.node.name}\" ({why.node.kind}): " if why.node else ""
        raise netfiles.BadFile(f"{path}: {where}{why}") from None
    netfiles.write_all({out + ".xml": text.encode(),
                        out + ".safetensors": netfiles.checkpoint_bytes(metadata_of(model, first, name), tensors)})
    return text.count("\n") - 3, sum(values.size for values in tensors.values())


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("-o", "--out", metavar="NAME", required=True, help="NAME.xml and NAME.safetensors are written")
    parser.add_argument("--loss", choices=("cross-entropy", "mean-squared-error"), help="that the network is trained with")
    given = parser.parse_args(words)
    try:
        lines, parameters = convert(given.model, given.out, given.loss)
    except netfiles.BadFile as why:
        print(" ".join(str(why).split()), file=sys.stderr)
        return 2
    print(f"{given.out}.xml, {lines} lines of layers; {given.out}.safetensors, {parameters} parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
