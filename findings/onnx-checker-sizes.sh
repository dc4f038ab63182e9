#!/bin/bash
# ONNX: sizes that do not meet, and weights of another length than their shape, before the checker.
#
# Packages: python3-onnx 1.12.0-2+b4 (Debian 12), 1.17.0-3+b1, python3-onnxruntime 1.21.0+dfsg-1
#   (Debian 13).
# Guess: check_model with full_check refuses a Gemm or Conv whose sizes do not meet, and weights
#   whose data are shorter or longer than their shape; onnxruntime refuses all that when it loads
#   the model. After the first run: a Conv with too few biases is refused when it runs.
# Seen: both releases let all of it pass, but for a MatMul and for weights without any data.
#   onnxruntime refuses data of another length when it loads; a Gemm, and a Conv's channels, when it
#   runs; a Conv whose biases are too many or too few, never: it takes the first ones, or goes on
#   behind the end of the last, with what lies there (0 in six runs, NaN in the seventh). In one
#   process of Debian 13 the two modules print a thousand lines of "Schema error" on import, and
#   work.
# Meaning: a model that the checker has passed may have weights that are cut, and one that
#   onnxruntime runs may not be what its author meant. onnx_import.py looks at all sizes itself.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/12" bookworm amd64 python3-onnx=1.12.0-2+b4 libblas3 liblapack3
make_root "$work/13" trixie amd64 python3-onnx=1.17.0-3+b1 python3-onnxruntime=1.21.0+dfsg-1 \
    libblas3 liblapack3
libraries=/usr/lib/x86_64-linux-gnu
cat >"$work/probe" <<'END'
import sys
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(kind, x, w, b=None, cut=None):
    weights = [numpy_helper.from_array(np.ones(w, "f4"), "w")]
    if b:
        weights.append(numpy_helper.from_array(np.arange(1, b + 1, dtype="f4"), "b"))
    if cut is not None:
        data = weights[0].raw_data
        weights[0].raw_data = data[:cut] if cut < 0 else data + bytes(cut)
    node = helper.make_node(kind, ["x", "w", "b"][:3 if b else 2], ["y"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [value("x", TensorProto.FLOAT, x)],
                              [value("y", TensorProto.FLOAT, list("nchw")[:len(x)])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def tell(call):
    try:
        call()
        return "passes"
    except Exception:
        return "refused"


image = [1, 2, 5, 5]
cases = [("right", "Gemm", [1, 4], (4, 3), 3, None), ("Gemm of 5 into 4", "Gemm", [1, 5], (4, 3), None, None),
         ("Gemm, 2 biases for 3", "Gemm", [1, 4], (4, 3), 2, None),
         ("MatMul of 5 into 4", "MatMul", [1, 5], (4, 3), None, None),
         ("Conv of 2 into 3", "Conv", image, (2, 3, 3, 3), None, None),
         ("Conv, 3 biases for 2", "Conv", image, (2, 2, 3, 3), 3, None),
         ("data too short", "Gemm", [1, 4], (4, 3), None, -4), ("data too long", "Gemm", [1, 4], (4, 3), None, 2)]
for name, kind, x, w, b, cut in cases:
    made = model(kind, x, w, b, cut)
    words = [tell(lambda: onnx.checker.check_model(made, full_check=True))]
    if len(sys.argv) > 1:
        import onnxruntime
        onnxruntime.set_default_logger_severity(4)
        load = lambda: onnxruntime.InferenceSession(made.SerializeToString())
        words += [tell(load), tell(lambda: load().run(None, {"x": np.ones(x, "f4")}))]
    print(f"{name}: {' '.join(words)}")
for biases in (3, 1) if len(sys.argv) > 1 else ():
    made = model("Conv", image, (2, 2, 3, 3), biases)
    y = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": np.zeros(image, "f4")})[0]
    print("biases taken:", *y[0, :biases, 0, 0].astype(int))
END
python "$work/12" "LD_LIBRARY_PATH=$libraries/blas:$libraries/lapack" <"$work/probe" >"$work/out"
python "$work/13" "LD_LIBRARY_PATH=$libraries/blas:$libraries/lapack" runtime \
    <"$work/probe" >>"$work/out" 2>"$work/err"
mapfile -t out <"$work/out"
seen "onnx 1.12, right sizes" "right: passes" "${out[0]}"
seen "  full_check" "Gemm of 5 into 4: passes" "${out[1]}"
seen "  full_check" "Gemm, 2 biases for 3: passes" "${out[2]}"
seen "  full_check" "MatMul of 5 into 4: refused" "${out[3]}"
seen "  full_check" "Conv of 2 into 3: passes" "${out[4]}"
seen "  full_check" "Conv, 3 biases for 2: passes" "${out[5]}"
seen "  full_check" "data too short: passes" "${out[6]}"
seen "  full_check" "data too long: passes" "${out[7]}"
seen "onnx 1.17, right sizes" "right: passes passes passes" "${out[8]}"
seen "  full_check, loaded, run" "Gemm of 5 into 4: passes passes refused" "${out[9]}"
seen "  full_check, loaded, run" "Gemm, 2 biases for 3: passes passes refused" "${out[10]}"
seen "  full_check, loaded, run" "MatMul of 5 into 4: refused refused refused" "${out[11]}"
seen "  full_check, loaded, run" "Conv of 2 into 3: passes passes refused" "${out[12]}"
seen "  full_check, loaded, run" "Conv, 3 biases for 2: passes passes passes" "${out[13]}"
seen "  full_check, loaded, run" "data too short: passes refused refused" "${out[14]}"
seen "  full_check, loaded, run" "data too long: passes refused refused" "${out[15]}"
seen "onnxruntime, two outputs and biases 1, 2, 3" "biases taken: 1 2" "${out[16]}"
seen "onnxruntime, two outputs and one bias, the first" "biases taken: 1" "${out[17]}"
seen "lines of \"Schema error\", more than 500" yes \
    "$([ "$(grep -c "Schema error" "$work/err")" -gt 500 ] && echo yes || echo no)"
verdict
