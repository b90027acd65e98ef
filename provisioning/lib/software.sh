# shellcheck shell=bash
# Sourced by provisioning/install: Debian packages, the Python environment, the mien wheel, YuNet's weights.

# numpy, PyAudio and systemd-python come from apt: the last two have no wheels, and picamera2 is built for apt's numpy.
PACKAGES=(python3 python3-venv python3-numpy python3-pyaudio python3-systemd ca-certificates)
# Only Raspberry Pi OS has the first; GPIO lines are of no use elsewhere.
ON_A_PI=(python3-picamera2 python3-gpiozero python3-lgpio)

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

all_installed() { dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sed -n 's/^installed //p' | sort; }

install_packages() {
    local package missing=()
    for package in "${PACKAGES[@]}"; do installed "$package" || missing+=("$package"); done
    if grep -qsi 'raspberry pi' /proc/device-tree/model; then
        [ -n "$DRY" ] || apt-cache show python3-numpy >/dev/null 2>&1 || apt_update
        for package in "${ON_A_PI[@]}"; do
            installed "$package" || ! apt-cache show "$package" >/dev/null 2>&1 || missing+=("$package")
        done
    fi
    [ ${#missing[@]} -eq 0 ] || change "apt-get install ${missing[*]}" apt_install "${missing[@]}"
}

# With the lists that are there; if there are none, or they name what is no longer offered, with new ones.
apt_install() {
    all_installed >"$SCRATCH/before"
    if ! apt_try "$@"; then
        apt_update
        apt_try "$@" || die "apt-get failed: $(tail -n 3 "$SCRATCH/apt")"
    fi
    all_installed >"$SCRATCH/after"
    mkdir -p "$RECORD"
    comm -13 "$SCRATCH/before" "$SCRATCH/after" >>"$RECORD/packages"
}

apt_try() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$SCRATCH/apt" 2>&1 </dev/null
}

apt_update() {
    apt-get update -q >"$SCRATCH/apt" 2>&1 || say "  apt-get update failed; going on with the lists that are there"
}

install_program() {
    local venv=$PREFIX/venv wish
    if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        change "make the Python environment $venv" python3 -m venv --clear --system-site-packages "$venv"
    fi
    write_constraints
    find_wheel
    wish=$(cat "$SCRATCH/wheel" "$SCRATCH/constraints" | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$RECORD/wheel" 2>/dev/null)" != "$wish" ]; then
        change "install mien and what it needs into $venv (a few minutes on a Pi)" install_wheel "$wish"
    fi
    if [ "$(readlink /usr/local/bin/mien-edge)" != "$venv/bin/mien-edge" ]; then
        change "link /usr/local/bin/mien-edge" ln -sfn "$venv/bin/mien-edge" /usr/local/bin/mien-edge
    fi
    keep_installer
}

# What apt provides stays as apt provides it: pip must neither replace nor shadow it. On Bookworm this keeps numpy 1,
# and with it OpenCV 4.11.
write_constraints() {
    python3 - >"$SCRATCH/constraints" <<'END'
from importlib.metadata import distributions
found = {d.metadata["Name"].lower(): d.version for d in distributions() if "/dist-packages" in str(d.locate_file(""))}
print("".join(f"{name}=={found[name]}\n" for name in ("numpy", "scipy") if name in found), end="")
END
}

# find_wheel: what is to be installed, named by its content, in $SCRATCH/wheel: a second run tells whether it is the same.
find_wheel() {
    if [[ $WHEEL == *://* ]]; then
        say "  downloading $WHEEL"
        python3 -c 'import sys, urllib.request as u; u.urlretrieve(sys.argv[1], sys.argv[2])' "$WHEEL" \
            "$SCRATCH/$(basename "$WHEEL")" 2>"$SCRATCH/error" ||
            die "$WHEEL cannot be downloaded: $(tail -n 1 "$SCRATCH/error")"
        WHEEL=$SCRATCH/$(basename "$WHEEL")
    fi
    if [ -n "$WHEEL" ]; then
        [ -r "$WHEEL" ] || die "there is no wheel $WHEEL"
        sha256sum <"$WHEEL" >"$SCRATCH/wheel"
    elif [ -f "$HERE/../setup.cfg" ]; then
        (cd "$HERE/.." && sources -print0 | sort -z | xargs -0 sha256sum) >"$SCRATCH/wheel"
    else
        die "there is no checkout around this script to build from; name a wheel with --wheel PATH|URL"
    fi
}

sources() {
    find edge cloud models_tflite setup.cfg pyproject.toml README.md LICENSE \
        -type f -not -path '*/__pycache__/*' -not -path 'cloud/models/*' "$@" # those models are no part of the wheel
}

install_wheel() {
    local pip=("$PREFIX/venv/bin/pip") from=()
    [ -z "$WHEELS" ] || from=(--no-index --find-links "$WHEELS")
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1
    [ -t 2 ] || pip+=(-q)
    if [ -z "$WHEEL" ]; then
        mkdir "$SCRATCH/source" # built in a copy: setuptools leaves files in the folder that it builds in
        (cd "$HERE/.." && sources -print0 | xargs -0 cp --parents -t "$SCRATCH/source")
        "${pip[@]}" wheel "${from[@]}" --no-deps -w "$SCRATCH" "$SCRATCH/source" >&2 || die "the wheel cannot be built"
        WHEEL=$(echo "$SCRATCH"/mien-*.whl)
    fi
    # By force, since another wheel may have the same version; then what it and the sign for the door need and is not there.
    "${pip[@]}" install "${from[@]}" --force-reinstall --no-deps "$WHEEL" >&2 || die "pip failed; the lines above say why"
    "${pip[@]}" install "${from[@]}" -c "$SCRATCH/constraints" "${WHEEL}[notice]" >&2 || die "pip failed; the lines above say why"
    mkdir -p "$RECORD"
    echo "$1" >"$RECORD/wheel"
}

# A copy of this installer, so that the machine can be cleaned when the checkout is gone.
keep_installer() {
    [ "$HERE" = "$PREFIX/provisioning" ] && return
    diff -rq "$HERE" "$PREFIX/provisioning" >/dev/null 2>&1 ||
        change "keep this installer in $PREFIX/provisioning" copy_installer
}

copy_installer() {
    rm -rf "$PREFIX/provisioning"
    cp -r "$HERE" "$PREFIX/provisioning"
    [ ! -f "$HERE/../docs/install.md" ] || cp "$HERE/../docs/install.md" "$PREFIX/install.md"
}

install_yunet() {
    local fetch=("$PREFIX/venv/bin/mien-edge" -q models fetch --folder "$STATE")
    local weights=$STATE/face_detection_yunet_2023mar.onnx
    if [ "$YUNET" = no ] || [ -e "$weights" ]; then
        return
    fi
    [ -z "$YUNET" ] || fetch+=(--url "$YUNET")
    change "fetch YuNet's weights" try_fetch "${fetch[@]}"
}

try_fetch() {
    if "$@" >"$SCRATCH/fetch" 2>&1; then
        chmod 644 "$STATE"/*.onnx
    elif [ -n "$YUNET" ]; then
        die "$(tail -n 1 "$SCRATCH/fetch")"
    else
        CHANGES=$((CHANGES - 1))
        say "  not fetched, so the Haar cascade finds the faces: $(tail -n 1 "$SCRATCH/fetch")"
    fi
}
