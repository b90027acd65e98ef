# shellcheck shell=bash
# Sourced by provisioning/install: the way back.

uninstall() {
    if systemctl cat "$UNIT" >/dev/null 2>&1; then
        change "stop and disable $UNIT" systemctl -q disable --now "$UNIT"
    fi
    drop "$UNIT_FOLDER/$UNIT" "$UNIT_FOLDER/$UNIT.d" /etc/udev/rules.d/60-mien.rules \
        /etc/systemd/system.conf.d/50-mien-watchdog.conf /etc/systemd/journald.conf.d/50-mien-journal.conf \
        /usr/local/bin/mien-edge "$PREFIX/venv" "$RECORD/wheel"
    if [ -z "$DRY" ] && [ "$CHANGES" -gt 0 ]; then
        rmdir --ignore-fail-on-non-empty /etc/systemd/system.conf.d /etc/systemd/journald.conf.d 2>/dev/null || true
        systemctl daemon-reload
        systemctl daemon-reexec
        systemctl restart systemd-journald
        systemctl reset-failed "$UNIT" 2>/dev/null || true
    fi
    if [ -z "$KEEP_DATA" ]; then
        purge
    else
        say "left: $CONFIG, $STATE, the user mien, Debian packages; $PREFIX/provisioning/install --uninstall takes these, too"
    fi
    [ "$CHANGES" -gt 0 ] || say "nothing to do: nothing of it is here"
}

purge() {
    local group
    if id -u mien >/dev/null 2>&1; then
        change "remove the user mien" userdel mien
    fi
    drop /etc/sysusers.d/mien.conf /etc/mien "$STATE"
    [ -n "$DRY" ] || rmdir --ignore-fail-on-non-empty /etc/sysusers.d 2>/dev/null || true
    if [ -e "$RECORD/groups" ]; then
        while read -r group; do # unless somebody else has joined it meanwhile
            [ -n "$(getent group "$group" | cut -d: -f4)" ] || change "remove the group $group" groupdel "$group"
        done <"$RECORD/groups"
    fi
    purge_packages
    drop "$PREFIX"
    [ ! -d /run/mien ] || drop /run/mien
}

# Of the packages that the installer had brought, those that nothing else needs by now.
purge_packages() {
    local package needless=() ours=()
    [ -e "$RECORD/packages" ] || return 0
    while read -r package; do installed "$package" && ours+=("$package"); done <"$RECORD/packages"
    [ ${#ours[@]} -gt 0 ] || return 0
    [ -n "$DRY" ] || apt-mark auto "${ours[@]}" >/dev/null
    printf '%s\n' "${ours[@]%%:*}" | sort -u >"$SCRATCH/ours"
    # They came without anybody's recommendation, so none keeps them.
    apt-get -s -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false \
        autoremove 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p' | sort -u >"$SCRATCH/needless"
    mapfile -t needless < <(comm -12 "$SCRATCH/ours" "$SCRATCH/needless")
    [ ${#needless[@]} -eq 0 ] || change "apt-get purge ${#needless[@]} packages that came with it" apt_purge "${needless[@]}"
}

apt_purge() {
    DEBIAN_FRONTEND=noninteractive apt-get purge -y -q "$@" >"$SCRATCH/apt" 2>&1 </dev/null ||
        die "apt-get failed: $(tail -n 3 "$SCRATCH/apt")"
}

# drop PATH...: removes what is there.
drop() {
    local path
    for path in "$@"; do
        if [ -e "$path" ] || [ -L "$path" ]; then change "remove $path" rm -rf "$path"; fi
    done
}
