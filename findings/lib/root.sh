# shellcheck shell=bash
# What the findings share: a Debian root of pinned packages in a temporary folder, and one way to
# end. Sourced, never run. Nothing is installed on this machine, no maintainer script runs, and the
# folder is gone at the end.

set -euo pipefail
export LC_ALL=C
misses=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Ends the script with status 77: it cannot be tried here. $1: why.
cannot() {
    echo "cannot be tried here: $1" >&2
    exit 77
}

# Compares one observation with that of the day on which the finding was written.
# $1: what is observed, $2: what was seen then, $3: what is seen now.
seen() {
    if [ "$2" = "$3" ]; then
        printf '  %s: %s\n' "$1" "$3"
    else
        printf '  %s: CHANGED\n    then: %s\n    now:  %s\n' "$1" "$2" "$3"
        misses=$((misses + 1))
    fi
}

# Ends the script: 0 if everything is as stated, 1 if not.
verdict() {
    if [ "$misses" -gt 0 ]; then
        echo "changed: $misses of the observations"
        exit 1
    fi
    echo "as stated"
    exit 0
}

# inside ROOT [NAME=VALUE...] COMMAND...: runs a command in a root, with /dev, /proc and no
# environment but the one given. Its mounts end with it. ROOT/usr/bin/emulator, if there, runs it.
inside() {
    local root=$1 map=() environment=() emulator=()
    shift
    while [[ ${1-} == [A-Z]*=* ]]; do
        environment+=("$1")
        shift
    done
    [ "$(id -u)" = 0 ] || map=(--map-root-user)
    [ ! -x "$root/usr/bin/emulator" ] || emulator=(/usr/bin/emulator)
    # shellcheck disable=SC2016 # $root is that of the inner shell
    env -i PATH=/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C.UTF-8 "${environment[@]}" \
        unshare "${map[@]}" --mount --pid --fork sh -c '
            root=$1
            shift
            mount --rbind /dev "$root/dev" || exit 77
            mount -t proc proc "$root/proc" || exit 77
            exec chroot "$root" "$@"' sh "$root" "${emulator[@]}" "$@" </dev/null
}

# python ROOT [NAME=VALUE...] [ARGUMENT...]: runs the Python program on standard input in a root.
python() {
    local root=$1 environment=()
    shift
    cat >"$root/tmp/probe.py"
    while [[ ${1-} == [A-Z]*=* ]]; do
        environment+=("$1")
        shift
    done
    inside "$root" "${environment[@]}" /usr/bin/python3 /tmp/probe.py "$@"
}

# make_root ROOT SUITE ARCHITECTURE PACKAGE=VERSION...: unpacks packages, with all that they depend
# on, from the Debian mirror of this machine. Ends the script if that cannot be done.
make_root() {
    local root=$1 suite=$2 architecture=$3 state=$1.apt mirror archive
    shift 3
    command -v apt-get dpkg-deb unshare >/dev/null || cannot "no apt-get, dpkg-deb or unshare"
    # shellcheck disable=SC2016 # placeholders of apt-get
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' |
        awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }')
    [ -n "$mirror" ] || cannot "apt-get knows no mirror of Debian"
    mkdir -p "$state"/{lists,cache/archives}/partial "$root"/{dev,proc,tmp,usr/{bin,sbin,lib,lib64}}
    ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
    : >"$state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
        >"$state/sources"
    local apt=(apt-get -qq -o "APT::Architecture=$architecture"
        -o "APT::Architectures::=$architecture" -o APT::Sandbox::User=
        -o "Dir::State=$state" -o "Dir::State::Status=$state/status" -o "Dir::Cache=$state/cache"
        -o "Dir::Etc::SourceList=$state/sources" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Acquire::Languages=none -o APT::Update::Error-Mode=any
        -o Debug::NoLocking=true -o APT::Install-Recommends=false)
    "${apt[@]}" update >"$state/log" 2>&1 ||
        cannot "no package lists of $suite: $(tail -n 1 "$state/log")"
    "${apt[@]}" install --yes --download-only coreutils dash "$@" >"$state/log" 2>&1 ||
        cannot "no packages $*: $(tail -n 1 "$state/log")"
    for archive in "$state"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink -C "$root"
    done
    rm -rf "$state"
    [ "$architecture" = "$(dpkg --print-architecture)" ] || add_emulator "$root" "$architecture"
    inside "$root" /usr/bin/true 2>/dev/null || cannot "no root, and no namespaces of a user's own"
}

# Puts a static emulator of ARM into a root of arm64.
add_emulator() {
    local root=$1 architecture=$2 tools=$work/emulator
    [ "$architecture" = arm64 ] || cannot "no emulator for $architecture"
    [ -d "$tools" ] || make_root "$tools" bookworm "$(dpkg --print-architecture)" \
        qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
    cp "$tools/usr/bin/qemu-aarch64-static" "$root/usr/bin/emulator"
}

# Ends the script unless all flags of the processor that are given are there.
need_flags() {
    local flag
    for flag in "$@"; do
        grep -qw "$flag" /proc/cpuinfo || cannot "this processor has no $flag"
    done
}

# The releases of python3-simgrid that findings look at.
# shellcheck disable=SC2034 # for those that source this
simgrids=(bookworm:3.32-2+b2 trixie:4.0-1+b1)

# ask_simgrid RELEASE: runs the finding's probe() in a root with that release, whose version is in
# $version then; the lines that it has printed are in ${out[@]}.
ask_simgrid() {
    version=${1#*:}
    make_root "$work/$version" "${1%:*}" amd64 "python3-simgrid=$version"
    probe "$work/$version" >"$work/out"
    # shellcheck disable=SC2034 # likewise
    mapfile -t out <"$work/out"
}
