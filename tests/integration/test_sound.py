"""A microphone for real: PyAudio, PortAudio and ALSA on a private PulseAudio, which this test starts and stops.

Needs the packages pulseaudio, libasound2-plugins and portaudio19-dev, and PyAudio (the extra `pi`). The listening runs
in a child process, because ALSA reads its configuration only once per process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sample import voice

TONE_HZ = 440.0
SAMPLE_RATE = 16_000

ASOUNDRC = """
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.test_microphone { type pulse device microphone }
"""

LISTEN = """
import json, sys, time
import numpy as np
from edge.capture.devices import list_microphones
from edge.capture.microphone import open_microphone
from edge.errors import CaptureError

card, seconds = sys.argv[1], float(sys.argv[2])
print(json.dumps([device.id for device in list_microphones().devices]), flush=True)
sounds, ended = [], ""
with open_microphone(card) as microphone:
    until = time.monotonic() + 60.0
    try:
        while time.monotonic() < until and 0.1 * len(sounds) < seconds:
            sound = microphone.read(1.0)
            if sound is not None:
                sounds.append(sound)
                if len(sounds) == 3:
                    print("listening", flush=True)
    except CaptureError as error:
        ended = str(error)
    seen = {"dropped": microphone.dropped, "overflows": microphone.overflows, "clipped": microphone.clipped}
np.save(sys.argv[3], np.concatenate([sound.pcm for sound in sounds]))
gaps = [after.time_s - before.end_s for before, after in zip(sounds, sounds[1:])]
age = time.monotonic() - sounds[-1].end_s
print(json.dumps({**seen, "ended": ended, "gap": max(map(abs, gaps)), "age": age}))
"""


class SoundServer:
    """A PulseAudio of its own with a loudspeaker that nobody hears and a microphone that hears it."""

    def __init__(self, folder: Path) -> None:
        (folder / ".asoundrc").write_text(ASOUNDRC)
        socket = folder / "pulse.sock"
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{socket}",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        modules = [
            f"module-native-protocol-unix socket={socket} auth-anonymous=1",
            "module-null-sink sink_name=loudspeaker rate=48000",
            "module-remap-source master=loudspeaker.monitor source_name=microphone",
        ]
        loads = [word for module in modules for word in ("-L", module)]
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", *loads],
            env={name: value for name, value in self.environment.items() if name != "PULSE_SERVER"},
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10.0
        while not socket.exists():
            assert self.process.poll() is None, "pulseaudio ended at once"
            assert time.monotonic() < deadline, "pulseaudio did not open its socket within 10 s"
            time.sleep(0.05)

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["paplay", "--device=loudspeaker", str(path)], env=self.environment)

    def listen(self, card: str, seconds: float, out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LISTEN, card, str(seconds), str(out)]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    for program in ("pulseaudio", "paplay"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    if importlib.util.find_spec("pyaudio") is None:
        pytest.fail("PyAudio is missing: apt-get install portaudio19-dev, then pip install pyaudio")
    running = SoundServer(tmp_path)
    yield running
    running.stop()


def tone(path: Path, seconds: float) -> Path:
    time_s = np.arange(round(seconds * 44_100)) / 44_100
    soundfile.write(path, np.stack([0.4 * np.sin(2 * np.pi * TONE_HZ * time_s)] * 2, axis=1), 44_100)
    return path


@pytest.mark.parametrize("card", ["", "TEST_micro"])
def test_a_tone_comes_back_as_it_was_played(server: SoundServer, tmp_path: Path, card: str) -> None:
    playing = server.play(tone(tmp_path / "tone.wav", 60.0))
    listening = server.listen(card, 3.0, tmp_path / "heard.npy")
    out, _ = listening.communicate(timeout=30.0)
    playing.terminate()
    playing.wait(10.0)
    lines = out.splitlines()
    assert "test_microphone" in json.loads(lines[0])
    seen = json.loads(lines[-1])
    assert seen["ended"] == ""
    assert seen["dropped"] == seen["overflows"] == seen["clipped"] == 0
    assert seen["gap"] < 0.01
    assert seen["age"] < 1.0
    heard = np.load(tmp_path / "heard.npy")[-2 * SAMPLE_RATE :]
    assert np.abs(heard).max() == pytest.approx(0.4, abs=0.05)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    peak = int(spectrum.argmax())
    assert peak * SAMPLE_RATE / len(heard) == pytest.approx(TONE_HZ, abs=2.0)
    assert spectrum[peak - 20 : peak + 21].sum() > 0.999 * spectrum.sum(), "clicks or distortion"


def test_a_sound_server_that_dies_is_noticed(server: SoundServer, tmp_path: Path) -> None:
    listening = server.listen("", 50.0, tmp_path / "heard.npy")
    assert listening.stdout is not None
    listening.stdout.readline()
    assert listening.stdout.readline() == "listening\n"
    server.stop()
    out, _ = listening.communicate(timeout=30.0)
    assert "stopped recording" in json.loads(out.splitlines()[-1])["ended"]


@pytest.mark.slow
def test_the_demo_reads_the_microphone_of_this_machine(server: SoundServer, tmp_path: Path) -> None:
    """scripts/demo without clips, as on a laptop that has a microphone and no camera."""
    soundfile.write(tmp_path / "voice.wav", np.tile(voice(), 8), SAMPLE_RATE)
    playing = server.play(tmp_path / "voice.wav")
    command = [sys.executable, str(Path(__file__).resolve().parents[2] / "scripts" / "lib" / "demo.py"), "--json"]
    with subprocess.Popen(
        command, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        rows = (json.loads(line) for line in demo.stdout)
        heard = next(row for row in rows if row["speech"] is not None)
        demo.send_signal(signal.SIGINT)
        _, log = demo.communicate(timeout=30)
    playing.kill()
    playing.wait()
    assert demo.returncode == 0, log
    assert "reading no camera and" in log
    assert (heard["clip"], heard["faces"], heard["face"]) == ("live", 0, None)
    assert heard["fused"]["emotion"] == heard["final"]["emotion"] or heard["verdict"] is not None
