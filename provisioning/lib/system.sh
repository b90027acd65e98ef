# shellcheck shell=bash
# Sourced by provisioning/install: user, unit, udev rule, watchdog, journal, start.

DEVICE_GROUPS=(video render audio gpio)
UNIT_FOLDER=/etc/systemd/system
FILES=$HERE/systemd

install_user() {
    put "$FILES/mien.sysusers" /etc/sysusers.d/mien.conf 644 root
    id -u mien >/dev/null 2>&1 || change "make the user mien in the groups ${DEVICE_GROUPS[*]}" make_user
}

make_user() {
    local group
    mkdir -p "$RECORD"
    for group in "${DEVICE_GROUPS[@]}"; do
        getent group "$group" >/dev/null || echo "$group" >>"$RECORD/groups"
    done
    systemd-sysusers /etc/sysusers.d/mien.conf
}

install_system() {
    local before
    [ -d "$STATE" ] || change "make $STATE" install -d -m 750 -o mien -g mien "$STATE"
    before=$CHANGES
    put "$FILES/$UNIT" "$UNIT_FOLDER/$UNIT" 644 root
    if [ "$(systemd_version)" -ge 254 ]; then
        put "$FILES/systemd-254.conf" "$UNIT_FOLDER/$UNIT.d/10-systemd-254.conf" 644 root
    fi
    after "$before" systemctl daemon-reload
    before=$CHANGES
    put "$FILES/60-mien.rules" /etc/udev/rules.d/60-mien.rules 644 root
    after "$before" reload_udev
    [ -z "$LEAVE_SYSTEM" ] || return 0
    before=$CHANGES
    put "$FILES/50-mien-watchdog.conf" /etc/systemd/system.conf.d/50-mien-watchdog.conf 644 root
    after "$before" systemctl daemon-reexec
    before=$CHANGES
    put "$FILES/50-mien-journal.conf" /etc/systemd/journald.conf.d/50-mien-journal.conf 644 root
    after "$before" systemctl restart systemd-journald
}

systemd_version() { systemctl --version 2>/dev/null | sed -n '1s/systemd \([0-9]*\).*/\1/p' | grep . || echo 0; }

# after COUNT COMMAND...: does what is needed if there were changes since COUNT of them had been made.
after() {
    local count=$1
    shift
    [ -n "$DRY" ] || [ "$CHANGES" -eq "$count" ] || "$@"
}

reload_udev() {
    if command -v udevadm >/dev/null && [ -S /run/udev/control ]; then
        udevadm control --reload
        udevadm trigger --subsystem-match=gpio --subsystem-match=dma_heap
    fi
}

start_service() {
    [ "$(systemctl is-enabled "$UNIT" 2>/dev/null)" = enabled ] || change "enable $UNIT" systemctl -q enable "$UNIT"
    if [ "$START" = no ]; then
        return
    fi
    if ! systemctl -q is-active "$UNIT" 2>/dev/null; then
        change "start $UNIT" start_or_die start
    elif [ "$CHANGES" -gt 0 ]; then
        change "restart $UNIT" start_or_die restart
    fi
    [ -n "$DRY" ] || say "  $(systemctl show -p StatusText --value "$UNIT")"
}

start_or_die() {
    systemctl reset-failed "$UNIT" 2>/dev/null || true
    systemctl "$1" "$UNIT" ||
        die "the service does not start: $(journalctl -q _SYSTEMD_UNIT="$UNIT" -n 3 -o cat --no-pager)"
}
