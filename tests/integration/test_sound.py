"""A microphone for real: PyAudio, PortAudio and ALSA on a private PulseAudio, which this test starts and stops.

Needs the packages pulseaudio, libasound2-plugins and portaudio19-dev, and PyAudio (the extra `pi`). The listening runs
in a child process, because ALSA reads its configuration only once per process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sample import voice
from sound_server import PATIENCE_S, SoundServer, sound_server

TONE_HZ = 440.0
TONE_OF_ALERT_HZ = 880.0
SAMPLE_RATE = 16_000

LISTEN = """
import json, sys, time
import numpy as np
from edge.capture.devices import list_microphones
from edge.capture.microphone import open_microphone
from edge.errors import CaptureError

import edge.capture.level
edge.capture.level.SILENT_AFTER_S = 2.0
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
    seen["trouble"] = microphone.trouble
np.save(sys.argv[3], np.concatenate([sound.pcm for sound in sounds]))
gaps = [after.time_s - before.end_s for before, after in zip(sounds, sounds[1:])]
age = time.monotonic() - sounds[-1].end_s
print(json.dumps({**seen, "ended": ended, "gap": max(map(abs, gaps)), "age": age}))
"""


def listen(server: SoundServer, card: str, seconds: float, out: Path) -> subprocess.Popen[str]:
    return server.python(LISTEN, card, str(seconds), str(out))


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SoundServer]:
    with sound_server(tmp_path, *[request.param] if hasattr(request, "param") else []) as running:
        yield running


def tone(path: Path, seconds: float) -> Path:
    time_s = np.arange(round(seconds * 44_100)) / 44_100
    soundfile.write(path, np.stack([0.4 * np.sin(2 * np.pi * TONE_HZ * time_s)] * 2, axis=1), 44_100)
    return path


@pytest.mark.parametrize("card", ["", "TEST_micro"])
def test_a_tone_comes_back_as_it_was_played(server: SoundServer, tmp_path: Path, card: str) -> None:
    playing = server.play(tone(tmp_path / "tone.wav", PATIENCE_S))
    listening = listen(server, card, 3.0, tmp_path / "heard.npy")
    out, _ = listening.communicate(timeout=PATIENCE_S)
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
    listening = listen(server, "", 50.0, tmp_path / "heard.npy")
    assert listening.stdout is not None
    listening.stdout.readline()
    assert listening.stdout.readline() == "listening\n"
    server.stop()
    out, _ = listening.communicate(timeout=PATIENCE_S)
    assert "stopped recording" in json.loads(out.splitlines()[-1])["ended"]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rate=8000", "rate=96000 format=s32le", "rate=44100 channels=1"], indirect=True)
def test_cards_of_other_rates_and_formats_sound_the_same(server: SoundServer, tmp_path: Path) -> None:
    playing = server.play(tone(tmp_path / "tone.wav", PATIENCE_S))
    out, _ = listen(server, "test_micro", 1.5, tmp_path / "heard.npy").communicate(timeout=PATIENCE_S)
    playing.terminate()
    playing.wait(10.0)
    assert json.loads(out.splitlines()[-1])["trouble"] == ""
    heard = np.load(tmp_path / "heard.npy")[-SAMPLE_RATE:]
    assert np.abs(heard).max() == pytest.approx(0.4, abs=0.05)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert spectrum.argmax() * SAMPLE_RATE / len(heard) == pytest.approx(TONE_HZ, abs=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rate=48000 format=s32le"], indirect=True)
def test_the_low_bits_of_a_32_bit_card_are_not_lost(server: SoundServer, tmp_path: Path) -> None:
    """I2S microphones speak softly: this tone is a tenth of one step of 16 bits."""
    time_s = np.arange(round(PATIENCE_S) * 48_000) / 48_000
    quiet = (3e-6 * np.sin(2 * np.pi * TONE_HZ * time_s) * 2**31).astype(np.int32)
    soundfile.write(tmp_path / "quiet.wav", quiet, 48_000, subtype="PCM_32")
    playing = server.play(tmp_path / "quiet.wav")
    listen(server, "test_micro", 1.5, tmp_path / "heard.npy").communicate(timeout=PATIENCE_S)
    playing.terminate()
    playing.wait(10.0)
    heard = np.load(tmp_path / "heard.npy")[-SAMPLE_RATE:]
    assert np.abs(heard).max() == pytest.approx(3e-6, rel=0.2)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert spectrum.argmax() * SAMPLE_RATE / len(heard) == pytest.approx(TONE_HZ, abs=2.0)


@pytest.mark.slow
def test_a_silent_microphone_says_so(server: SoundServer, tmp_path: Path) -> None:
    out, _ = listen(server, "test_micro", 3.0, tmp_path / "heard.npy").communicate(timeout=PATIENCE_S)
    assert "silence" in json.loads(out.splitlines()[-1])["trouble"]


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
        _, log = demo.communicate(timeout=PATIENCE_S)
    playing.kill()
    playing.wait()
    assert demo.returncode == 0, log
    assert "reading no camera and" in log
    assert (heard["clip"], heard["faces"], heard["face"]) == ("live", 0, None)
    assert heard["fused"]["emotion"] == heard["final"]["emotion"] or heard["verdict"] is not None


@pytest.mark.slow
def test_the_local_alert_is_heard(server: SoundServer, tmp_path: Path) -> None:
    listening = listen(server, "", 15.0, tmp_path / "heard.npy")
    assert listening.stdout is not None
    listening.stdout.readline()
    assert listening.stdout.readline() == "listening\n"
    play = "from edge.alarm import play_tone; play_tone('', 1.0)"
    subprocess.run(
        [sys.executable, "-c", play], env=server.environment, check=True, timeout=PATIENCE_S, stderr=subprocess.PIPE
    )
    listening.communicate(timeout=PATIENCE_S)
    heard = np.load(tmp_path / "heard.npy")
    loud = heard[np.abs(heard) > 0.05]
    assert len(loud) > 0.7 * SAMPLE_RATE
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * SAMPLE_RATE / len(heard) == pytest.approx(TONE_OF_ALERT_HZ, abs=5.0)
