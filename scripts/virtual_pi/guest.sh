#!/bin/bash
# Runs in the virtual Pi as root, started by its virtual-pi.service: devices, installer, doctor, service, uninstaller.
# Lines that begin with "virtual-pi:" are what the host waits for (session.py).
# shellcheck disable=SC2317 # step calls them
set -u
cd /mnt/payload || exit
# shellcheck disable=SC1091 # written by the host: BROKER
source ./environment

say() { echo "virtual-pi: $*" >/dev/console; }

# step NAME COMMAND...: runs it, and says whether it went well.
step() {
    local name=$1 began=$SECONDS
    shift
    say "begin $name"
    if "$@" >"/mnt/results/$name.log" 2>&1; then
        say "done $name after $((SECONDS - began)) s"
    else
        say "failed $name: $(tail -n 3 "/mnt/results/$name.log" | tr '\n' ' ')"
        finish
    fi
}

finish() {
    journalctl --no-pager -o short-monotonic >/mnt/results/journal.log 2>&1
    say "end"
    sync
    systemctl poweroff --force
    exit
}

# A camera: vivid's HDMI input, looped to its HDMI output. It loops only while both have the same format.
camera() {
    modprobe vivid n_devs=1 node_types=0x101 num_inputs=1 input_types=3 num_outputs=1 output_types=1 no_error_inj=1 &&
        udevadm settle &&
        v4l2-ctl -d /dev/video1 --set-dv-bt-timings index=0 && # 640x480
        v4l2-ctl -d /dev/video0 --set-dv-bt-timings index=0 &&
        v4l2-ctl -d /dev/video1 --set-fmt-video-out=width=640,height=480,pixelformat=BGR3 &&
        v4l2-ctl -d /dev/video0 --set-fmt-video=width=640,height=480,pixelformat=BGR3 &&
        v4l2-ctl -d /dev/video0 --set-ctrl loop_video=1 &&
        v4l2-ctl -d /dev/video0 --all
}

# A sound card: what is played into one end of it is recorded at the other.
sound() { modprobe snd-aloop pcm_substreams=1 && udevadm settle && arecord -l; }

# A portrait that moves, and a voice.
play() {
    cp portrait.bgr voice.s16 /dev/shm/ || return
    systemd-run -q --unit=player v4l2-ctl -d /dev/video1 --stream-out-mmap=4 --stream-from=/dev/shm/portrait.bgr --stream-loop
    systemd-run -q --unit=voice bash -c \
        'while :; do cat /dev/shm/voice.s16; done | aplay -q -t raw -f S16_LE -r 44100 -c 2 -D hw:Loopback,1,0'
    sleep 5
    systemctl status --no-pager player voice
}

install_mien() {
    export PIP_NO_COMPILE=1 # which takes longer, emulated, than all the rest
    local yunet=no
    [ ! -e yunet.onnx ] || yunet=$PWD/yunet.onnx
    provisioning/install --site virtual --device pi --mode demo --setting private --jurisdiction unknown --offload never \
        --camera /dev/video0 --microphone Loopback --broker "$BROKER" --set camera.fps=2 \
        --wheel "$(echo "$PWD"/mien-*.whl)" --wheels /mnt/wheels --yunet "$yunet" --no-start
}

doctor() {
    mien-edge doctor --look 60 --listen 60 --json >/mnt/results/doctor.json
    cat /mnt/results/doctor.json
    [ -s /mnt/results/doctor.json ]
}

serve() {
    # An emulated processor may need longer than these allow; that they work is tested in the booted container.
    mkdir -p /run/systemd/system/mien-edge.service.d
    printf '[Service]\nTimeoutStartSec=1800\nWatchdogSec=900\n' >/run/systemd/system/mien-edge.service.d/slow.conf
    systemctl daemon-reload
    systemctl start mien-edge && until [ -e /mnt/results/seen ]; do
        systemctl status --no-pager mien-edge
        systemctl is-active mien-edge || return
        sleep 5
    done
}

stop() {
    systemctl stop mien-edge && [ "$(systemctl show -p Result --value mien-edge)" = success ]
}

uninstall() {
    /opt/mien/provisioning/install --uninstall && [ ! -e /opt/mien ] && [ ! -e /etc/mien ] && ! id mien
}

# What runs, each minute: so slow a machine looks as if it were stuck.
systemd-run -q --unit=what-runs bash -c \
    'while sleep 60; do cat /proc/uptime; systemd-cgls --no-pager --full; done >/mnt/results/what-runs.log'

say "$(uname -srm), $(python3 --version)"
step camera camera
step sound sound
step install install_mien
step play play
step doctor doctor
step serve serve
step stop stop
step uninstall uninstall
say "complete"
finish
