#!/bin/bash
# PyTorch: an encoder layer with GELU(approximate="tanh") when it is not trained.
#
# Packages: python3-torch 1.13.1+dfsg-4 (Debian 12), 2.6.0+dfsg-7 (Debian 13).
# Guess: none for 1.13, where an imported network was 1.3e-4 off; then, that 2.6 does the same. One
#   would think that a layer computes one function, whether gradients are wanted or not.
# Seen: nn.TransformerEncoderLayer takes a fast path where it is in eval() and no gradient is
#   wanted. That knows one gelu, the exact one, and takes any nn.GELU for it: outputs are off by
#   1.4e-4 from those of the same layer with gradients, and equal to the bit to those of
#   nn.GELU(). With nn.GELU() both paths agree to 1e-6.
# Meaning: what is trained is not what is evaluated. An export has the form with tanh, as training
#   has: compare it with outputs that were computed with gradients.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/12" bookworm amd64 python3-torch=1.13.1+dfsg-4 python3-numpy libblas3 liblapack3
make_root "$work/13" trixie amd64 python3-torch=2.6.0+dfsg-7 python3-numpy libblas3 liblapack3
libraries=/usr/lib/x86_64-linux-gnu
cat >"$work/probe" <<'END'
import torch
from torch import nn


def both(act):
    """Outputs without and with gradients."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation=act).eval()
    x = torch.randn(3, 5, 16)
    with torch.no_grad():
        fast = layer(x)
    return fast, layer(x).detach()


def off(a, b):
    return (a - b).abs().max().item()


tanh, exact = both(nn.GELU(approximate="tanh")), both(nn.GELU())
print("yes" if off(*tanh) > 5e-5 else f"no: {off(*tanh)}")
print("yes" if off(*exact) < 1e-6 else f"no: {off(*exact)}")
print("yes" if torch.equal(tanh[0], exact[0]) else "no")
END
for release in 12 13; do
    python "$work/$release" "LD_LIBRARY_PATH=$libraries/blas:$libraries/lapack" <"$work/probe" \
        >"$work/out" 2>"$work/err"
    mapfile -t out <"$work/out"
    seen "Debian $release, gelu with tanh: eval without gradients is off" yes "${out[0]}"
    seen "  the exact gelu: it is not" yes "${out[1]}"
    seen "  without gradients both are one" yes "${out[2]}"
done
verdict
