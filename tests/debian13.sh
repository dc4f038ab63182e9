#!/usr/bin/env bash
# What must work on Debian 13 ("trixie", the base of today's Raspberry Pi OS), from a minimal system on:
# the README's two commands, all quick tests, the results of this machine's release, the way from blank
# cards to a comparison (on emulated boards), and the tests under the sanitizers.
#   tests/debian13.sh [FOLDER]     a root of Debian 13 and a copy of the tree are kept there (build/debian13)
#
# Needs root, debootstrap, a build in build/release and a mirror of Debian; about an hour. Failure modes
# handled: a command that fails (its words, status 1); boards that cannot be emulated here (it says so,
# and goes on); a root that is there already is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
folder=${1:-build/debian13}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/root

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

# A command there, with a /proc, a /dev and processes of its own; /ringtmp is the copy of the tree.
there() {
    unshare --mount --pid --fork --kill-child sh -euc '
        root=$1 tree=$2
        shift 2
        mount --make-rprivate /
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        mount -t tmpfs tmpfs "$root/tmp"
        mount -t tmpfs tmpfs "$root/run"
        mkdir -p "$root/ringtmp"
        mount --bind "$tree" "$root/ringtmp"
        cd "$root" # not only chroot: emulated boards have namespaces of their own in it
        pivot_root . mnt
        umount -l mnt
        exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            LC_ALL=C.UTF-8 ${RG_WERROR:+RG_WERROR=$RG_WERROR} ${KERNELS:+OPENBLAS_CORETYPE=$KERNELS} \
            sh -euc "cd /ringtmp && $*"' sh "$root" "$folder/tree" "$*"
}

step "a minimal Debian 13"
[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase trixie "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$folder/tree"
git ls-files -z | tar --null -T - -c | tar -x -C "$folder/tree"

step "the README's first command"
there './setup && build/release/ringsim scenarios/pi-cluster-64.xml'

step "the README's second: the tests"
there './setup && ctest --preset release'

step "a topology that SimGrid 4.0 does not load is refused in one line"
sed 's|<cluster |<cluster topology="TORUS" topo_parameters="3,1,1" |' platforms/pi4-gigabit-3.xml \
    >"$folder/tree/torus.xml"
if there 'build/release/ringsim scenarios/iris-3.xml --set platform=torus.xml --check' \
    >/dev/null 2>"$folder/torus"; then
    echo "it is not refused" >&2
    exit 1
fi
grep 'torus.xml:[0-9]*: topology="TORUS": SimGrid 4.0 does not load it' "$folder/torus"

step "the same results as here"
# The same kernels on both; these are what ARM of 32 bits has, too.
export KERNELS=SandyBridge OPENBLAS_CORETYPE=SandyBridge
results=$folder/tree/results
mkdir -p "$results/here" "$results/there"

# The same runs by both builds, of files that both read below the copy of the tree.
same() {
    local command="build/release/ringsim $* --quiet --json results"
    # shellcheck disable=SC2086
    (cd "$folder/tree" && "$source"/$command/here/result.json)
    there "$command/there/result.json"
    /usr/bin/python3 "$source/tests/support/same_results.py" "$results"/{here,there}/result.json
}

same scenarios/iris-3.xml
same scenarios/pi-cluster-64.xml --set network=models/networks/digits-cnn.xml --set nodes=6 \
    --set iterations=20 --strategy all-reduce
same tests/data/energy.xml
for matrix in tests/data/matrix{,-allreduce,-stale,-sgd,-filters,-tasks,-lbfgs,-fsvrg,-federated}.xml; do
    same "$matrix" --set nodes=5
done
same tests/data/matrix-servers.xml --set nodes=5 --set replicas.replicas=5
same tests/data/matrix-interleaved.xml --set nodes=4
# By the calendar: between SimGrid 3.32 and 4.0 dates of so many messages may differ by their last bit.
same tests/data/matrix-layers.xml --set nodes=5 --engine calendar
digits=$source/../shared/data/mnist-t10k
if [ -d "$digits" ]; then
    cp "$digits"/*.gz "$results/"
    same scenarios/mnist-3.xml --data results --engine calendar --set epochs=2
    sed 's/relu/tanh/' models/networks/mnist-mlp.xml >"$results/mnist-tanh.xml"
    same scenarios/mnist-3.xml --data results --engine calendar --set epochs=2 \
        --set network=results/mnist-tanh.xml
else
    echo "skipped: mnist-3, whose digits are not in $digits"
fi

step "the board path, on emulated boards"
there 'apt-get install -y -qq --no-install-recommends systemd-sysv openssh-server sudo iproute2 >/dev/null
    ./setup board'
status=0
there 'python3 -B tests/testbed/test_board_path.py --build build/release' || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 77 ]

step "the sanitizers"
there './setup asan && ctest --preset asan'

step "done"
