"""Which cameras and microphones this machine has. Nothing here raises for a library that is absent: it is noted."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.quiet import native_stderr_silenced

V4L2 = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class Device:
    """One camera or microphone."""

    name: str
    """As the device calls itself."""
    id: str
    """What to write in the configuration: `camera.source` or `microphone.card`."""
    kind: str
    """`picamera2`, `v4l2` or `portaudio`."""
    formats: str = ""
    """What it gives, where that is cheap to know."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found, and what kept other devices from being found."""

    devices: list[Device]
    notes: list[str]


def list_cameras() -> Listing:
    """Return the cameras of this machine; network cameras are not searched for."""
    notes: list[str] = []
    return Listing(_pi_cameras(notes) + video_devices(), notes)


def list_microphones() -> Listing:
    """Return the sound cards that can record, by name: their numbers change from boot to boot."""
    notes: list[str] = []
    return Listing(_portaudio_inputs(notes), notes)


def video_devices(folder: Path = V4L2) -> list[Device]:
    """Return the V4L2 cameras; a camera's second node, which carries metadata, and the Pi's own codecs are left out."""
    devices = []
    for node in sorted(folder.glob("video*"), key=lambda each: int(each.name.removeprefix("video"))):
        name, index = _line(node / "name"), _line(node / "index")
        if index in {"", "0"} and not name.startswith(("bcm2835-", "rpi-", "rp1-", "pisp", "unicam")):
            devices.append(Device(name=name or node.name, id=f"/dev/{node.name}", kind="v4l2"))
    return devices


def without_index(card: str) -> str:
    """Return the name of a sound card without ALSA's numbers, " (hw:1,0)", which change from boot to boot."""
    return re.sub(r" \(hw:\d+,\d+\)$", "", card)


def _pi_cameras(notes: list[str]) -> list[Device]:
    try:
        picamera2 = importlib.import_module("picamera2")
    except ImportError:
        notes.append("picamera2 is not installed: the Pi's own camera cannot be used (apt install python3-picamera2)")
        return []
    try:
        found: list[dict[str, Any]] = picamera2.Picamera2.global_camera_info()
    except (RuntimeError, OSError) as error:
        notes.append(f"libcamera does not answer: {error}")
        return []
    return [
        Device(name=str(each.get("Model", "camera")), id=f"picamera2:{number}", kind="picamera2")
        for number, each in enumerate(found)
    ]


def _portaudio_inputs(notes: list[str]) -> list[Device]:
    try:
        pyaudio = importlib.import_module("pyaudio")
    except ImportError:
        notes.append("PyAudio is not installed: no microphone can be used (apt install python3-pyaudio)")
        return []
    with native_stderr_silenced():
        audio = pyaudio.PyAudio()
    try:
        cards = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    except OSError as error:
        notes.append(f"PortAudio does not answer: {error}")
        return []
    finally:
        audio.terminate()
    return [
        Device(
            name=str(card["name"]),
            id=without_index(str(card["name"])),
            kind="portaudio",
            formats=f"{card['maxInputChannels']} channels, {float(card['defaultSampleRate']):.0f} Hz",
        )
        for card in cards
        if int(card["maxInputChannels"]) > 0
    ]


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
