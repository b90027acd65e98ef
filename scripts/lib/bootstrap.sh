# Sourced by the commands in scripts/: makes what they need on a fresh machine. Everything it says goes to stderr.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1

say() { printf 'mien: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# A Python that the wheels exist for: $PYTHON, else the newest of 3.11 to 3.13.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11, 3.12 or 3.13 is needed; install one, or name it in the variable PYTHON"
}

# packages COMMAND-OR-FILE=PACKAGE ...: installs the Debian packages whose command or file is not there.
packages() {
    local pair wanted=()
    for pair in "$@"; do
        if [[ ${pair%%=*} == /* ]]; then [ -e "${pair%%=*}" ]; else command -v "${pair%%=*}" >/dev/null; fi ||
            wanted+=("${pair#*=}")
    done
    [ ${#wanted[@]} -eq 0 ] && return
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    command -v apt-get >/dev/null || die "please install: ${wanted[*]}"
    say "installing Debian packages: ${wanted[*]}"
    # No service is to start by itself just because a package came in: a policy that says no, taken away again.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null && "${as_root[@]}" chmod +x $policy
        trap "${as_root[*]} rm -f $policy" RETURN
    fi
    { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } >"$ROOT/.apt.log" 2>&1 </dev/null ||
        die "apt-get failed (see .apt.log); please install by hand: ${wanted[*]}"
    rm -f "$ROOT/.apt.log"
}

# environment FOLDER EXTRAS [PIP ARGUMENT ...]: a virtual environment with this project and those extras, made anew
# only when setup.cfg or the wish has changed.
environment() {
    local folder=$1 extras=$2 python wish stamp
    shift 2
    stamp="$folder/.has-${extras//,/-}"
    wish=$(sha256sum setup.cfg pyproject.toml | sha256sum | cut -c1-16)" $*"
    [ "$(cat "$stamp" 2>/dev/null)" = "$wish" ] && return
    if [ ! -x "$folder/bin/python" ]; then
        python=$(find_python) || exit 1
        say "making $folder with $("$python" --version)"
        "$python" -m venv "$folder" >&2 2>/dev/null || {
            packages "/nonexistent=$(basename "$(readlink -f "$python")")-venv"
            "$python" -m venv "$folder" >&2
        } || die "$python cannot make virtual environments"
    fi
    say "installing into $folder: mien[$extras] $* (the first time takes a minute)"
    "$folder/bin/python" -m pip install -qq --disable-pip-version-check -e ".[$extras]" "$@" >&2 </dev/null ||
        die "pip failed; the message above says why"
    printf '%s' "$wish" >"$stamp"
}
