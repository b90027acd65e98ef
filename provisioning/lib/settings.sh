# shellcheck shell=bash
# Sourced by provisioning/install: the settings that somebody has to decide, asked or given.

declare -A SETTINGS=()

setting() { SETTINGS[$1]=$2; }

NAME='^[a-z0-9-]{1,36}$'
JURISDICTION='^([A-Z]{2}|EEA|unknown)$'

decide_settings() {
    [ -z "$GIVEN_CONFIG" ] || [ -r "$GIVEN_CONFIG" ] || die "$GIVEN_CONFIG cannot be read"
    if [ -n "$GIVEN_CONFIG" ] || { [ -e "$CONFIG" ] && [ -z "$RECONFIGURE" ] && [ ${#SETTINGS[@]} -eq 0 ]; }; then
        return
    fi
    [ -n "${SETTINGS[site.name]:-}" ] || [ ! -t 0 ] || say "These decisions have no default: somebody answers for them."
    ask site.name "name of the site in topics (a-z, 0-9, -)" "$NAME"
    ask device.name "name of this device in topics" "$NAME" "$(hostname | tr 'A-Z._' 'a-z--' | tr -cd 'a-z0-9-' | cut -c1-36)"
    ask site.mode "what for: demo, research, vehicle, classroom, off" '^(demo|research|vehicle|classroom|off)$'
    ask site.setting "where: education, workplace, private, public" '^(education|workplace|private|public)$'
    ask site.jurisdiction "whose law: country code, EU, EEA, unknown" "$JURISDICTION"
    ask privacy.offload "what the cloud may get: never, features (speech!), crops" '^(never|features|crops)$'
    if [ "${SETTINGS[site.mode]:-}" = research ]; then
        ask privacy.consent_id "number of the consent record" .
        ask privacy.consent_expires "when it ends, Unix time in seconds" '^[0-9.]+$'
        ask privacy.ethics_reference "reference of the ethics approval" .
    fi
    if [ ${#MISSING[@]} -gt 0 ]; then
        die "not decided yet: ${MISSING[*]}. Run it on a terminal to be asked, or give the options (see --help)"
    fi
    decide_devices
}

decide_devices() {
    if [ -t 0 ] && [ -z "$CAMERA" ]; then
        question "camera: picamera2, /dev/video0, part of its name, a URL, none" . none && CAMERA=$ANSWER
    fi
    if [ -t 0 ] && [ -z "$MICROPHONE" ]; then
        question "microphone: part of the card's name, default, none" . none && MICROPHONE=$ANSWER
    fi
    if [ -t 0 ] && [ -z "${SETTINGS[mqtt.broker]+given}" ]; then
        question "broker: mqtts://host, mqtt://host; empty: nothing leaves the device" '^(mqtts?://[^/ ]+)?$'
        [ -z "$ANSWER" ] || setting mqtt.broker "$ANSWER"
    fi
    case $CAMERA in '' | none) ;; *) setting camera.source "$CAMERA" ;; esac
    case $MICROPHONE in
        '' | none) ;;
        default) setting microphone.card '' ;;
        *) setting microphone.card "$MICROPHONE" ;;
    esac
}

MISSING=()

# ask KEY QUESTION PATTERN [PROPOSAL]: fills in a setting that was not given, or notes that it is missing.
ask() {
    [ -z "${SETTINGS[$1]:-}" ] || return 0
    if [ ! -t 0 ]; then
        MISSING+=("$1")
        return 0
    fi
    question "$2" "$3" "${4:-}"
    setting "$1" "$ANSWER"
}

# question TEXT PATTERN [PROPOSAL]: sets ANSWER.
question() {
    while true; do
        read -r -p "  $1${3:+ [$3]}: " ANSWER || die "no answer, nothing was changed"
        ANSWER=${ANSWER:-${3:-}}
        [[ $ANSWER =~ $2 ]] && return 0
        say "  that is none of these"
    done
}

install_settings() {
    local wanted=$SCRATCH/edge.toml key arguments=()
    if [ -n "$GIVEN_CONFIG" ]; then
        cp "$GIVEN_CONFIG" "$wanted"
    elif [ ${#SETTINGS[@]} -eq 0 ]; then
        check_settings "$CONFIG"
        own_settings
        return
    elif [ -n "$DRY" ] && [ ! -x "$PREFIX/venv/bin/python" ]; then
        for key in "${!SETTINGS[@]}"; do say "  with $key = ${SETTINGS[$key]}"; done
        change "write $CONFIG"
        return
    else
        for key in "${!SETTINGS[@]}"; do arguments+=("$key=${SETTINGS[$key]}"); done
        "$PREFIX/venv/bin/python" -I "$HERE/lib/write_settings.py" "${arguments[@]}" >"$wanted" || exit 1
    fi
    check_settings "$wanted"
    if [ -e "$CONFIG" ] && [ -z "$RECONFIGURE" ]; then
        cmp -s "$wanted" "$CONFIG" || say "  $CONFIG differs from these settings and stays as it is; --reconfigure replaces it"
        own_settings
        return
    fi
    if [ -e "$CONFIG" ] && ! cmp -s "$wanted" "$CONFIG"; then
        change "keep the old settings as $CONFIG.old" cp -p "$CONFIG" "$CONFIG.old"
    fi
    put "$wanted" "$CONFIG" 640 mien
}

# The policy is root's: nobody else may write it, and the service may read it.
own_settings() {
    [ "$(stat -c '%a %U:%G' "$CONFIG")" = "640 root:mien" ] || change "give $CONFIG to root" give_to_root "$CONFIG"
}

give_to_root() { chown root:mien "$1" && chmod 640 "$1"; }

# check_settings FILE: whether the daemon can use it, before it is put in place.
check_settings() {
    [ -x "$PREFIX/venv/bin/mien-edge" ] || return 0 # a dry run before the first installation
    "$PREFIX/venv/bin/mien-edge" -q check --config "$1" >"$SCRATCH/check" 2>&1 ||
        die "the settings cannot be used, $CONFIG stays as it is: $(tail -n 5 "$SCRATCH/check")"
    sed -n 's/^policy/mien:   policy/p' "$SCRATCH/check" >&2
}
