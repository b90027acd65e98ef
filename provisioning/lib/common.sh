# shellcheck shell=bash disable=SC2034 # sourced: variables are used in the other files
# Sourced by provisioning/install: what it says, what it counts, options' variables.

CAMERA='' MICROPHONE='' GIVEN_CONFIG='' WHEEL='' WHEELS='' YUNET=''
RECONFIGURE='' LEAVE_SYSTEM='' START=yes DRY='' UNINSTALL='' KEEP_DATA=''
CHANGES=0
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

say() { printf 'mien: %s\n' "$*" >&2; }

step() { say "== $*"; }

die() {
    say "$*"
    exit 1
}

# change WHAT COMMAND...: says and counts a change, and makes it unless --dry-run.
change() {
    CHANGES=$((CHANGES + 1))
    if [ -n "$DRY" ]; then
        say "  would: $1"
        return
    fi
    say "  $1"
    shift
    "$@"
}

# put SOURCE TARGET MODE GROUP: installs a file as root's unless it is there with this content, mode and group.
put() {
    local there
    there=$(stat -c '%a %U:%G' "$2" 2>/dev/null || true)
    if [ "$there" != "$3 root:$4" ] || ! cmp -s "$1" "$2"; then
        change "write $2" install -D -m "$3" -o root -g "$4" "$1" "$2"
    fi
}

check_machine() {
    local version
    command -v apt-get >/dev/null || die "this is no Debian or Raspberry Pi OS: there is no apt-get"
    case $(uname -m) in
        aarch64 | x86_64) ;;
        *) die "$(uname -m) is no 64-bit system; write a 64-bit Raspberry Pi OS to the card" ;;
    esac
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=none
    case $version in
        3.11 | 3.12 | 3.13 | none) ;; # none: apt brings the release's own
        *) die "Python $version has no wheels for the models' runtime; 3.11 (Bookworm) to 3.13 (Trixie) do" ;;
    esac
    [ -n "$DRY" ] && return
    [ "$(id -u)" -eq 0 ] || die "this needs root: sudo provisioning/install"
    [ -d /run/systemd/system ] || die "systemd does not run here; it starts and watches the service"
}
