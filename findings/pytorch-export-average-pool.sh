#!/bin/bash
# PyTorch: average pooling in ONNX files that it exports.
#
# Packages: python3-torch 2.6.0+dfsg-7, python3-onnx 1.17.0-3+b1, python3-onnxruntime 1.21.0+dfsg-1
#   (Debian 13). Images of 8x8 without padding: windows of 3x3 two apart, rounded up (ceil_mode), with
#   and without count_include_pad; windows of 2x2 with divisor_override=3. What PyTorch gives against
#   what onnxruntime and ONNX's own reference evaluator make of the file.
# Guess: the same within 1e-5, or the export is refused.
# Seen: both evaluators agree with each other, and not with PyTorch. Where a window reaches beyond the
#   image PyTorch divides by the pixels that are there, they by the whole window: 2/3 of it at the
#   edge, 4/9 in the corner. With count_include_pad=False all give the same, though there is no
#   padding. divisor_override is not in the file, without a word: 3/4.
# Meaning: a network that was trained with such a pool is another one elsewhere. RingTMP refuses
#   ceil_mode where windows do not fit the image; a divisor of one's own it cannot see.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" trixie amd64 python3-torch=2.6.0+dfsg-7 python3-onnx=1.17.0-3+b1 \
    python3-onnxruntime=1.21.0+dfsg-1 libblas3 liblapack3
blas=/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack

python "$work/root" "LD_LIBRARY_PATH=$blas" OMP_NUM_THREADS=1 >"$work/log" 2>&1 <<'END' || cannot "$(tail -n 1 "$work/log")"
import torch
from torch import nn

torch.manual_seed(1)
x = torch.rand(1, 1, 8, 8) + 1
for name, layer in {"ceil": nn.AvgPool2d(3, 2, ceil_mode=True),
                    "excluding": nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False),
                    "divisor": nn.AvgPool2d(2, divisor_override=3)}.items():
    torch.onnx.export(layer.eval(), x, f"/tmp/{name}.onnx", dynamo=False)
    layer(x).numpy().tofile(f"/tmp/{name}.out")
x.numpy().tofile("/tmp/in")
END

# Each in a process of its own: their libraries register the same operators.
evaluate() {
    python "$work/root" "LD_LIBRARY_PATH=$blas" OMP_NUM_THREADS=1 "$1" 2>"$work/log" <<'END' || cannot "$(tail -n 1 "$work/log")"
import sys
import numpy

def run(path, x):
    if sys.argv[1] == "onnxruntime":
        import onnxruntime
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: x})[0]
    import onnx
    from onnx.reference import ReferenceEvaluator
    model = onnx.load(path)
    return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})[0]

x = numpy.fromfile("/tmp/in", "f4").reshape(1, 1, 8, 8)
for name in "ceil", "excluding", "divisor":
    y = run(f"/tmp/{name}.onnx", x)[0, 0]
    ratio = y / numpy.fromfile(f"/tmp/{name}.out", "f4").reshape(y.shape)
    print(name, *("%.3f" % r for r in (ratio[0, 0], ratio[0, -1], ratio[-1, -1], ratio.min(), ratio.max())))
END
}

for by in onnxruntime reference; do
    evaluate "$by" >"$work/out"
    seen "$by, over PyTorch: first, edge, corner, least, most; windows rounded up" \
        "1.000 0.667 0.444 0.444 1.000" "$(sed -n 's/^ceil //p' "$work/out")"
    seen "$by, the same without padding that counts" \
        "1.000 1.000 1.000 1.000 1.000" "$(sed -n 's/^excluding //p' "$work/out")"
    seen "$by, divisor_override=3 of four pixels" \
        "0.750 0.750 0.750 0.750 0.750" "$(sed -n 's/^divisor //p' "$work/out")"
done
verdict
