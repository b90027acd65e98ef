"""Microphones without a sound card: resampling without seams, the chain's clock, a stand-in for PyAudio, the fakes.

The real thing, PortAudio on a sound server, is in tests/integration/test_sound.py.
"""

from __future__ import annotations

import sys
import threading
import time
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from edge.capture.base import SAMPLE_RATE
from edge.capture.devices import list_microphones
from edge.capture.fakes import FakeCamera, FakeMicrophone
from edge.capture.level import SILENT_AFTER_S, LevelWatch
from edge.capture.microphone import QUEUE_BLOCKS, open_microphone
from edge.capture.resample import HighPass, StreamResampler
from edge.errors import CaptureError, SourceMissing


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000]),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=12),
)
def test_blocks_of_any_size_give_what_the_whole_gives(rate, sizes):
    pcm = np.random.default_rng(0).standard_normal(sum(sizes)).astype(np.float32)
    resampler = StreamResampler(rate)
    parts = [resampler.feed(block) for block in np.split(pcm, np.cumsum(sizes)[:-1])]
    got = np.concatenate(parts)
    common = np.gcd(rate, SAMPLE_RATE)
    whole = resample_poly(pcm, SAMPLE_RATE // common, rate // common) if rate != SAMPLE_RATE else pcm
    assert np.allclose(got, whole[: len(got)], atol=1e-5)
    assert (len(pcm) / rate) - len(got) / SAMPLE_RATE < 0.09


def test_the_high_pass_takes_hum_and_offset_and_leaves_voices():
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hz, gain in ((0.0, 0.0), (20.0, 0.07), (300.0, 1.0)):
        wave = 0.4 * np.cos(2 * np.pi * hz * time_s).astype(np.float32)
        high_pass = HighPass()
        out = np.concatenate([high_pass.feed(block) for block in np.split(wave, 100)])
        level = np.sqrt(np.mean(out[SAMPLE_RATE // 2 :] ** 2) / np.mean(wave**2))
        assert level == pytest.approx(gain, abs=0.02)


class StandInAudio:
    """PyAudio as far as it is used: two cards, and blocks that come when the test says so."""

    def __init__(self) -> None:
        self.cards = [
            {"name": "Built-in: out", "index": 0, "maxInputChannels": 0, "defaultSampleRate": 44100.0},
            {
                "name": "USB PnP Sound Device: Audio (hw:1,0)",
                "index": 1,
                "maxInputChannels": 2,
                "defaultSampleRate": 48000.0,
            },
        ]
        self.opened: dict = {}
        self.active = True
        self.terminated = 0
        self.refuse = False

    def __call__(self):
        return self

    def get_device_count(self):
        return len(self.cards)

    def get_device_info_by_index(self, index):
        return self.cards[index]

    def get_default_input_device_info(self):
        if not any(card["maxInputChannels"] for card in self.cards):
            raise OSError("No Default Input Device Available")
        return self.cards[1]

    def open(self, **options):
        if self.refuse:
            raise OSError(-9985, "Device unavailable")
        self.opened = options
        return self

    def is_active(self):
        return self.active

    def close(self):
        self.active = False

    def terminate(self):
        self.terminated += 1

    def block(self, wave, status=0):
        """Deliver a block of 0.1 s that ends now."""
        stereo = np.repeat(wave.astype(np.float32), 2).tobytes()
        assert self.opened["stream_callback"](stereo, len(wave), {}, status) == (None, 0)


@pytest.fixture
def audio(monkeypatch):
    stand_in = StandInAudio()
    module = types.SimpleNamespace(PyAudio=stand_in, paFloat32=1, paInputOverflow=2, paContinue=0)
    monkeypatch.setitem(sys.modules, "pyaudio", module)
    return stand_in


TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
BLOCKS = np.split(TONE, 10)


@pytest.fixture
def now(monkeypatch):
    """The time, in the test's hand."""
    hand = [100.0]
    monkeypatch.setattr("edge.capture.microphone.time.monotonic", lambda: hand[0])
    return hand


@pytest.mark.parametrize("card", ["usb pnp", ""])
def test_a_card_is_found_by_name_and_opened_at_its_own_rate(audio, now, card):
    with open_microphone(card) as microphone:
        assert "USB PnP" in microphone.name
        assert (audio.opened["rate"], audio.opened["channels"], audio.opened["input_device_index"]) == (48_000, 2, 1)
        for block in BLOCKS:
            now[0] += 0.1
            audio.block(block)
        sounds = [microphone.read(0.0) for _ in BLOCKS]
    assert audio.terminated == 1
    pcm = np.concatenate([sound.pcm for sound in sounds])
    assert np.abs(pcm[4000:12000]).max() == pytest.approx(0.5, abs=0.02)
    assert np.abs(np.diff(pcm)).max() < 0.5 * 2 * np.pi * 440 / SAMPLE_RATE * 1.05, "a click at a block border"
    assert sounds[0].time_s == pytest.approx(100.0)
    assert sounds[-1].end_s == pytest.approx(101.0, abs=0.01)


def test_a_card_keeps_its_name_when_its_number_changes(audio):
    audio.cards[1]["name"] = "USB PnP Sound Device: Audio (hw:3,0)"
    with open_microphone("USB PnP Sound Device: Audio (hw:1,0)") as microphone:
        assert microphone.name.endswith("(hw:3,0)")


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_a_card_that_comes_back_with_another_rate_sounds_the_same(audio, now, rate):
    audio.cards[1]["defaultSampleRate"] = float(rate)
    with open_microphone("usb") as microphone:
        time_s = np.arange(rate) / rate
        for block in np.split(0.5 * np.sin(2 * np.pi * 440 * time_s), 10):
            now[0] += 0.1
            audio.block(block)
        pcm = np.concatenate([microphone.read(0.0).pcm for _ in range(10)])
    assert audio.opened["rate"] == rate
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    assert spectrum.argmax() * SAMPLE_RATE / len(pcm) == pytest.approx(440, abs=2)
    assert np.abs(pcm[4000:12000]).max() == pytest.approx(0.5, abs=0.02)


def hear(level, wave, seconds):
    """Let a card of 48 kHz give the same block of 0.1 s for so long."""
    for _ in range(round(10 * seconds)):
        level.hear(wave.astype(np.float32)[:, None])
    return level.trouble


NOISE = np.random.default_rng(1).standard_normal(4800)


@pytest.mark.parametrize("stuck_at", [0.0, 0.25])
def test_a_dead_microphone_is_in_trouble_and_a_quiet_room_is_not(stuck_at):
    level = LevelWatch(48_000)
    assert hear(level, 2e-5 * NOISE, 300.0) == ""
    assert hear(level, np.full(4800, stuck_at), SILENT_AFTER_S - 1.0) == ""
    assert "silence" in hear(level, np.full(4800, stuck_at), 2.0)
    assert hear(level, 2e-5 * NOISE, 0.1) == ""


def test_a_gain_that_is_too_high_is_trouble_and_a_bang_is_not():
    level = LevelWatch(48_000)
    hear(level, np.full(4800, 1.0), 0.1)
    assert hear(level, 0.1 * NOISE, 20.0) == ""
    assert "gain" in hear(level, np.clip(0.5 * NOISE, -1.0, 1.0), 20.0)
    assert hear(level, 0.1 * NOISE, 20.0) == ""


def test_loss_clipping_and_overflow_are_counted(audio):
    with open_microphone("usb") as microphone:
        for _ in range(QUEUE_BLOCKS + 3):
            audio.block(BLOCKS[0])
        assert microphone.dropped == 3
        audio.block(np.full(4800, 1.0), status=2)
        assert microphone.overflows == 1
        assert microphone.dropped == 3 + 2, "one more block than fits, and what PortAudio had lost"
        while microphone.read(0.01) is not None:
            pass
        assert microphone.clipped == 2 * 4800


def test_an_unplugged_card_raises_and_a_silent_one_does_not(audio):
    microphone = open_microphone("usb")
    assert microphone.read(0.05) is None
    audio.active = False
    with pytest.raises(CaptureError, match="stopped recording"):
        microphone.read(0.05)
    microphone.close()
    microphone.close()
    with pytest.raises(CaptureError, match="closed"):
        microphone.read(0.05)
    assert audio.terminated == 1


def deliver(audio, microphone, now, *, late_s=0.0, heard=True):
    """Let 0.1 s pass and return how far the clock is off for the block that was heard meanwhile, if it was."""
    now[0] += 0.1
    if not heard:
        return None
    on_time = now[0]
    now[0] += late_s
    audio.block(BLOCKS[0])
    now[0] = on_time
    return microphone.read(0.0).time_s - (on_time - 0.1)


def test_late_blocks_do_not_move_the_clock(audio, now):
    with open_microphone("usb") as microphone:
        off = [deliver(audio, microphone, now, late_s=late_s) for late_s in (0.0, 0.05, 0.3, 0.2, 0.1, 0.0) * 5]
    assert np.ptp(off[1:]) < 1e-3


def test_the_clock_follows_a_card_that_is_fast_or_slow(audio, now):
    for drift in (-0.002, 0.002):
        with open_microphone("usb") as microphone:
            off = []
            for _ in range(600):
                off.append(deliver(audio, microphone, now))
                now[0] += drift * 0.1
        assert np.abs(off).max() < 0.03
        assert np.abs(np.diff(off)).max() < 0.005


def test_lost_sound_is_a_gap_in_time(audio, now):
    with open_microphone("usb") as microphone:
        for _ in range(5):
            deliver(audio, microphone, now)
        for _ in range(20):
            deliver(audio, microphone, now, heard=False)
        off = [deliver(audio, microphone, now) for _ in range(25)]
        assert off[0] == pytest.approx(-2.0, abs=0.01), "it might still be jitter"
        assert off[-1] == pytest.approx(0.0, abs=0.01)
        for _ in range(QUEUE_BLOCKS + 20):
            now[0] += 0.1
            audio.block(BLOCKS[0])
        first = microphone.read(0.0)
        assert first.time_s == pytest.approx(now[0] - QUEUE_BLOCKS / 10, abs=0.02), "known to be lost: at once"


def test_missing_card_missing_library_and_refusal(audio, monkeypatch):
    with pytest.raises(SourceMissing, match="found: USB PnP"):
        open_microphone("Blue Yeti")
    audio.refuse = True
    with pytest.raises(CaptureError, match="cannot be opened"):
        open_microphone("usb")
    audio.cards = []
    with pytest.raises(SourceMissing, match="no microphone"):
        open_microphone()
    assert audio.terminated == 3
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(SourceMissing, match="PyAudio is not installed"):
        open_microphone()


def test_microphones_are_listed_and_an_absent_library_is_noted(audio, monkeypatch):
    listing = list_microphones()
    assert [device.id for device in listing.devices] == ["USB PnP Sound Device: Audio"]
    assert listing.devices[0].formats == "2 channels, 48000 Hz"
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    assert "not installed" in list_microphones().notes[0]


IMAGES = [np.full((4, 4), value, np.uint8) for value in (1, 2, 3)]


def test_the_fake_camera_shows_its_images_in_turn():
    with FakeCamera(IMAGES, fps=10.0, start_s=5.0) as camera:
        frames = [camera.read(0.0) for _ in range(4)]
    assert [int(frame.image[0, 0]) for frame in frames] == [1, 2, 3, 1]
    assert [frame.time_s for frame in frames] == pytest.approx([5.0, 5.1, 5.2, 5.3])
    assert camera.closed


def test_a_fake_that_is_over_hangs_or_is_unplugged():
    camera = FakeCamera(IMAGES, loop=False)
    assert [camera.read(0.0) is None for _ in range(4)] == [False, False, False, True]
    microphone = FakeMicrophone(np.zeros(16_000, np.float32))
    microphone.hang()
    assert microphone.read(0.02) is None
    microphone.resume()
    assert len(microphone.read(0.02).pcm) == 1600
    threading.Timer(0.05, microphone.unplug).start()
    microphone.hang()
    with pytest.raises(CaptureError, match="unplugged"):
        microphone.read(5.0)


def test_a_fake_in_real_time_drops_what_was_not_read():
    with FakeCamera(IMAGES, fps=50.0, realtime=True) as camera:
        camera.read(1.0)
        time.sleep(0.2)
        frame = camera.read(1.0)
        assert time.monotonic() - frame.time_s < 0.1
        assert camera.dropped >= 7


def test_the_fake_microphone_plays_in_blocks():
    pcm = np.arange(4000, dtype=np.float32) / 4000
    with FakeMicrophone(pcm, loop=False, start_s=1.0) as microphone:
        sounds = [microphone.read(0.0) for _ in range(3)]
        assert microphone.read(0.0) is None
    assert np.array_equal(np.concatenate([sound.pcm for sound in sounds]), pcm)
    assert [sound.time_s for sound in sounds] == pytest.approx([1.0, 1.1, 1.2])
