"""One life of the virtual Pi: boots it, listens at a broker for what it publishes, and ends what it started.

The guest (`guest.sh`) tells its steps on its console, and reads and writes folders of the host (9p).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import ProtocolError
from edge.protocol import Birth, Reading, decode
from virtual_pi.debian import ROOT

HOST = "10.0.2.2"
"""The host, as a guest of qemu's user network sees it."""
MARK = "virtual-pi: "


@dataclass
class Seen:
    """What came to the broker."""

    births: list[Birth] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    complete: threading.Event = field(default_factory=threading.Event)
    """Set once a reading tells of a face and one, perhaps another, of a voice."""

    def add(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        try:
            if topic.endswith("/birth"):
                self.births.append(decode(Birth, payload))
            elif topic.endswith("/reading"):
                self.readings.append(decode(Reading, payload))
        except ProtocolError as error:
            self.wrong.append(f"{topic}: {error}")
        if self.births and self.faces() and self.voices():
            self.complete.set()

    def faces(self) -> list[Reading]:
        """Readings with a face and its expression."""
        return [each for each in self.readings if each.faces and each.face]

    def voices(self) -> list[Reading]:
        """Readings with a voice and its tone."""
        return [each for each in self.readings if each.speech]


def say(text: str) -> None:
    """Tell the user how far it is."""
    print(f"mien: {text}", file=sys.stderr, flush=True)


def write_payload(folder: Path, wheel: Path, broker: str, yunet: Path | None) -> None:
    """Fill the folder that the guest sees as /mnt/payload."""
    from virtual_pi.media import write_media  # needs what only the demo's sample needs

    for name in ("provisioning", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(Path(__file__).with_name("guest.sh"), folder)
    shutil.copy(wheel, folder)
    if yunet is not None:
        shutil.copy(yunet, folder / "yunet.onnx")
    (folder / "environment").write_text(f"BROKER={broker}\n")
    write_media(folder)


@contextmanager
def listening(folder: Path, port: int) -> Iterator[Seen]:
    """Run a Mosquitto that only this machine, and so the guest, can reach, and collect what comes to it."""
    seen = Seen()
    log = (folder / "mosquitto.log").open("wb")
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with log, ended(subprocess.Popen([binary, "-p", str(port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)):
        client = Client(CallbackAPIVersion.VERSION2)

        def on_connect(*_: object) -> None:
            client.subscribe("mien/v1/#", qos=1)

        def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
            seen.add(message.topic, bytes(message.payload))

        client.on_connect, client.on_message = on_connect, on_message
        client.connect_async("127.0.0.1", port)  # tries again until the broker listens
        client.loop_start()
        try:
            yield seen
        finally:
            client.disconnect()
            client.loop_stop()


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the process with the block, whatever ends that."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


IDLE = ("serial-getty@ttyAMA0.service", "apt-daily.timer", "apt-daily-upgrade.timer", "man-db.timer")
"""Units that stay off in the guest: nobody logs in, and Debian's daily upkeep is no part of what is looked at."""


def qemu(kernel: Path, initrd: Path, card: Path, shares: dict[str, tuple[Path, bool]]) -> list[str]:
    """Return the command that boots the machine. `shares`: name -> folder, and whether the guest may write to it."""
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "2048"]
    command += ["-kernel", str(kernel), "-initrd", str(initrd)]
    boot = "root=/dev/vda rw console=ttyAMA0 quiet net.ifnames=0 panic=-1 mitigations=off"
    command += ["-append", " ".join([boot, *(f"systemd.mask={unit}" for unit in IDLE)])]
    command += ["-drive", f"file={card},if=none,id=card,format=raw", "-device", "virtio-blk-pci,drive=card"]
    command += ["-snapshot"]  # what it writes to its card is gone with it
    # romfile: it does not boot from the network, so the ROM for that need not be there.
    command += ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=", "-nographic", "-no-reboot"]
    for name, (folder, writable) in shares.items():
        readonly = "" if writable else ",readonly=on"
        command += ["-virtfs", f"local,path={folder},mount_tag={name},security_model=none{readonly}"]
    return command


def run(command: Sequence[str], console: Path, seen: Seen, results: Path, limit_s: float) -> list[str]:
    """Boot, follow the guest until it has ended, and return the steps it told. Tells the guest when enough was seen."""
    told: list[str] = []
    began = time.monotonic()
    with (
        console.open("wb") as output,
        console.open("rb") as reading,
        ended(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)) as machine,
    ):
        line = b""
        while machine.poll() is None or line:
            line += reading.readline()
            passed = time.monotonic() - began
            if line.endswith(b"\n"):
                text = line.decode(errors="replace").strip()
                line = b""
                if MARK in text:
                    told.append(text.partition(MARK)[2])
                    say(f"  {passed:5.0f} s  {told[-1]}")
                continue
            if machine.poll() is not None:
                break
            if passed > limit_s:
                told.append(f"failed: not over within {limit_s:g} s")
                break
            if seen.complete.wait(0.2) and not (results / "seen").exists():
                say(f"  {passed:5.0f} s  a face and a voice have come to the broker")
                (results / "seen").touch()
    return told
