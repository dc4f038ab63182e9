"""Results of one scenario by two builds, held against one another: everything but `host` equal, the time of a run and
its weights bit by bit, other measures to 1e-11 of themselves (SimGrid 4.0 adds joules up in another order, and dates
within a run may differ by their last bit).

    same_results.py ONE.json OTHER.json
"""

import json
import math
import sys

REST = 1e-11


def differences(one, other, where=""):
    """Paths of what differs, with both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                yield f"{where}.{key}: only in one"
            else:
                yield from differences(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other)):
            yield from differences(*pair, f"{where}[{place}]")
    elif one != other and (where.endswith(".time_s") or not isinstance(one, float) or not isinstance(other, float)
                           or not math.isclose(one, other, rel_tol=REST, abs_tol=REST)):
        yield f"{where}: {one!r}, {other!r}"


def main():
    results = []
    for path in sys.argv[1:3]:
        with open(path, encoding="utf-8") as stream:
            results.append(json.load(stream))
    one, other = results
    kernels = one.pop("host")["blas_kernels"], other.pop("host")["blas_kernels"]
    assert one["runs"], "no runs"
    assert kernels[0] == kernels[1], f"kernels {kernels}"
    found = list(differences(one, other))
    print("\n".join(found[:40]) or f"{one['scenario']}: {len(one['runs'])} runs equal, {kernels[0]} kernels")
    sys.exit(bool(found))


main()
