"""Media files made here, read back: one clock, all sampled frames, every kind of damage."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_maker import EVENT_S, beep, make_media

from edge.capture.base import SAMPLE_RATE, Frame, Sound
from edge.capture.media import MediaFile
from edge.errors import CaptureError, NoStreams, SourceMissing, Undecodable

ROOT = Path(__file__).resolve().parents[2]


def read(path: Path, **options) -> tuple[list[Frame], list[Sound]]:
    with MediaFile(path, **options) as media:
        items = list(media.items())
    assert [item.time_s for item in items] == sorted(item.time_s for item in items)
    return [item for item in items if isinstance(item, Frame)], [item for item in items if isinstance(item, Sound)]


def joined(sounds: list[Sound]) -> np.ndarray:
    assert sounds[0].time_s == 0.0
    for before, after in itertools.pairwise(sounds):
        assert after.time_s == pytest.approx(before.end_s, abs=1e-9)
    return np.concatenate([sound.pcm for sound in sounds])


def flash_s(frames: list[Frame]) -> float:
    return next(frame.time_s for frame in frames if frame.image.mean() > 200)


def beep_s(sounds: list[Sound]) -> float:
    pcm = joined(sounds)
    return float(np.argmax(np.abs(pcm) > 0.2) / SAMPLE_RATE)


@pytest.mark.parametrize("kind", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"])
def test_flash_and_beep_lie_on_one_clock(tmp_path, kind):
    frames, sounds = read(make_media(tmp_path / f"clip{kind}"), fps=30)
    assert flash_s(frames) == pytest.approx(beep_s(sounds), abs=0.04)
    # mp3 in AVI and AAC in transport streams have no field for the encoder's delay: both then start a little late
    assert flash_s(frames) == pytest.approx(EVENT_S, abs=0.08)


@pytest.mark.parametrize("kind", [".mp4", ".mkv"])
def test_sound_that_starts_later_is_led_by_silence(tmp_path, kind):
    frames, sounds = read(make_media(tmp_path / f"clip{kind}", sound_starts_s=0.5), fps=30)
    assert beep_s(sounds) - flash_s(frames) == pytest.approx(0.5, abs=0.04)


def test_a_gap_in_the_sound_is_silence(tmp_path):
    path = make_media(tmp_path / "clip.mkv", seconds=3.0, gap=(0.2, 0.9))
    frames, sounds = read(path, fps=30)
    assert beep_s(sounds) == pytest.approx(flash_s(frames), abs=0.04)
    assert sum(len(sound.pcm) for sound in sounds) / SAMPLE_RATE == pytest.approx(3.0, abs=0.06)


@pytest.mark.parametrize(("fps", "count"), [(5, 10), (1, 2), (12.5, 25), (30, 60), (100, 60)])
def test_sampled_frames_are_counted_and_none_is_dropped(tmp_path, fps, count):
    frames, _ = read(make_media(tmp_path / "clip.mp4"), fps=fps)
    assert len(frames) == count
    if fps <= 30:
        ticks = np.arange(count) / fps
        late = np.array([frame.time_s for frame in frames]) - ticks
        assert late.min() >= -0.002
        assert late.max() < 1 / 30 + 0.002


def test_a_variable_frame_rate_gives_the_first_frame_after_each_tick(tmp_path):
    times = [0.0, 0.05, 0.1, 0.31, 0.9, 0.95, 1.0, 1.01, 1.25]
    frames, _ = read(make_media(tmp_path / "clip.mp4", times=times), fps=5)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.31, 0.9, 1.0, 1.25], abs=0.002)


@pytest.mark.parametrize(
    ("rotation", "shape", "corner"),
    [(0, (120, 160), (0, 0)), (90, (160, 120), (0, -1)), (270, (160, 120), (-1, 0)), (180, (120, 160), (-1, -1))],
)
def test_pictures_of_a_turned_phone_stand_upright(tmp_path, rotation, shape, corner):
    """`rotation` is clockwise: at 90 the top left corner of the sensor is shown at the top right."""
    frames, _ = read(make_media(tmp_path / "clip.mp4", rotation=rotation, seconds=0.4))
    image = frames[0].image
    assert image.shape == (*shape, 3)
    corners = {
        (y, x): int(image[y * 8 if y == 0 else -8, x * 8 if x == 0 else -8, 0]) for y in (0, -1) for x in (0, -1)
    }
    assert max(corners, key=corners.__getitem__) == corner


def test_wide_pictures_are_scaled_to_the_width_asked_for(tmp_path):
    path = make_media(tmp_path / "clip.mp4", size=(1280, 720), seconds=0.3)
    assert read(path)[0][0].image.shape == (360, 640, 3)
    assert read(path, max_width=320)[0][0].image.shape == (180, 320, 3)


@pytest.mark.parametrize("kind", [".wav", ".mp3", ".flac", ".ogg"])
def test_sound_files_have_no_frames(tmp_path, kind):
    with MediaFile(make_media(tmp_path / f"sound{kind}")) as media:
        assert (media.has_frames, media.has_sound) == (False, True)
        assert media.duration_s == pytest.approx(2.0, abs=0.06)
    assert beep_s(read(media.path)[1]) == pytest.approx(EVENT_S, abs=0.06)


def test_a_film_without_sound(tmp_path):
    with MediaFile(make_media(tmp_path / "clip.mp4", audio=False)) as media:
        assert (media.has_frames, media.has_sound) == (True, False)
        assert media.duration_s == pytest.approx(2.0, abs=0.04)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_any_rate_becomes_16_khz_mono_at_the_same_level(tmp_path, rate, layout):
    _, sounds = read(make_media(tmp_path / "sound.wav", rate=rate, layout=layout))
    pcm = joined(sounds)
    wanted = beep(2.0, SAMPLE_RATE)
    assert pcm.dtype == np.float32
    assert len(pcm) == pytest.approx(len(wanted), abs=2)
    # Away from the edges of the beep, which band limits round off.
    middle = slice(round(1.02 * SAMPLE_RATE), round(1.18 * SAMPLE_RATE))
    assert np.abs(pcm[middle] - wanted[middle]).max() < 0.01


READ_SOUND = """
import sys
from edge.capture.media import MediaFile
for _ in range(3):
    sounds = [item.pcm for item in MediaFile(sys.argv[1]).items()]
print(sum(map(len, sounds)), max(abs(pcm).max() for pcm in sounds))
"""


def test_surround_sound_in_an_unusual_order_does_not_kill_the_process(tmp_path):
    """QuickTime's other orders of 5.1, for which PyAV frees memory twice: in a child process, to be safe."""
    path = make_media(tmp_path / "clip.mov", layout="5.1", video=False, sound_codec="pcm_s16le")
    data = bytearray(path.read_bytes())
    at = data.find(b"chan") + 8
    for tag in (122, 124):
        data[at : at + 4] = (tag << 16 | 6).to_bytes(4, "big")
        path.write_bytes(data)
        command = [sys.executable, "-c", READ_SOUND, str(path)]
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
        assert int(found[0]) == pytest.approx(2 * SAMPLE_RATE, abs=2)
        assert float(found[1]) == pytest.approx(0.5, abs=0.01)


def test_eight_channels_do_not_kill_the_process(tmp_path):
    """PyAV reads beyond the planes of 7.1 sound: in a child process as well."""
    path = make_media(tmp_path / "clip.mp4", layout="7.1", video=False)
    command = [sys.executable, "-c", READ_SOUND, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert int(found[0]) == pytest.approx(2 * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)
    assert float(found[1]) == pytest.approx(0.45, abs=0.1)


def test_a_still_picture_is_one_frame(tmp_path):
    for kind in ("png", "jpg"):
        path = tmp_path / f"still%03d.{kind}"
        path.write_bytes(cv2.imencode(f".{kind}", np.full((48, 64, 3), (10, 200, 90), np.uint8))[1].tobytes())
        frames, sounds = read(path)
        assert len(frames) == 1
        assert not sounds
        assert frames[0].image[20, 20].tolist() == pytest.approx([10, 200, 90], abs=4)


def test_the_cover_of_a_song_is_no_video(tmp_path):
    cover = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    path = make_media(tmp_path / "song.mp3")
    frame = b"APIC" + (len(cover) + 13).to_bytes(4, "big") + b"\0\0" + b"\0image/png\0\x03\0" + cover
    size = len(frame)
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + synchsafe + frame + path.read_bytes())
    with av.open(path) as container:
        assert container.streams.video, "the test's own file has no cover"
    with MediaFile(path) as media:
        assert (media.has_frames, media.has_sound) == (False, True)


def test_items_can_be_read_twice_and_close_ends_them(tmp_path):
    media = MediaFile(make_media(tmp_path / "clip.mp4"))
    assert len(list(media.items())) == len(list(media.items())) >= 30
    running = media.items()
    next(running)
    media.close()
    assert list(running) == []


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(SourceMissing, match="No such file"):
        MediaFile(tmp_path / "absent.mp4")
    with pytest.raises(SourceMissing, match="folder"):
        MediaFile(tmp_path)


@pytest.mark.parametrize("name", ["noise.mp4", "noise.wav", "noise.bin"])
def test_garbage_is_undecodable(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(5).bytes(50_000))
    with pytest.raises(Undecodable):
        MediaFile(tmp_path / name)


def test_an_empty_file_is_undecodable(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(Undecodable):
        MediaFile(tmp_path / "empty.mp4")


@pytest.mark.parametrize(
    "text",
    ["Dear diary,\n" * 200, "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "ffconcat version 1.0\nfile /etc/passwd\n", "{}"],
)
@pytest.mark.parametrize("name", ["notes.txt", "list.m3u8", "film.mp4"])
def test_text_and_play_lists_are_undecodable(tmp_path, text, name):
    """FFmpeg would show a text as pictures, and let a play list open any file or address."""
    (tmp_path / name).write_text(text)
    with pytest.raises(Undecodable):
        MediaFile(tmp_path / name)


def test_subtitles_alone_are_no_streams(tmp_path):
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n")
    with pytest.raises(NoStreams):
        MediaFile(tmp_path / "film.srt")


def test_sound_without_samples_is_no_streams(tmp_path):
    path = make_media(tmp_path / "sound.wav")
    path.write_bytes(path.read_bytes()[: path.read_bytes().find(b"data")] + b"data\0\0\0\0")
    with pytest.raises(NoStreams):
        MediaFile(path)


def test_an_mp4_without_its_index_is_undecodable(tmp_path):
    whole = make_media(tmp_path / "whole.mp4").read_bytes()
    assert whole.rfind(b"moov") > whole.find(b"mdat")
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Undecodable):
        MediaFile(tmp_path / "half.mp4")


def test_an_unknown_codec_is_undecodable_and_the_other_stream_goes_on(tmp_path):
    data = make_media(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "deaf.mp4").write_bytes(data.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    with MediaFile(tmp_path / "deaf.mp4") as media:
        assert (media.has_frames, media.has_sound) == (True, False)
    (tmp_path / "both.mp4").write_bytes(
        data.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz").replace(b"avc1", b"zzzz")
    )
    with pytest.raises(Undecodable, match="codecs"):
        MediaFile(tmp_path / "both.mp4")


@pytest.mark.parametrize("kind", [".mkv", ".webm", ".avi", ".ts", ".wav", ".mp3", ".ogg"])
def test_a_file_cut_off_in_the_middle_gives_what_is_there(tmp_path, kind):
    whole = make_media(tmp_path / f"whole{kind}", seconds=4.0)
    data = whole.read_bytes()
    (tmp_path / f"half{kind}").write_bytes(data[: len(data) * 6 // 10])
    with MediaFile(tmp_path / f"half{kind}") as media:
        end_s = max(item.end_s if isinstance(item, Sound) else item.time_s for item in media.items())
        assert 0.5 < end_s < 3.9
        assert media.duration_s == pytest.approx(end_s, abs=0.3)


@pytest.mark.parametrize("kind", [".mp4", ".mp3"])
def test_damage_in_the_middle_is_logged_and_the_rest_is_given(tmp_path, caplog, kind):
    path = make_media(tmp_path / f"clip{kind}", seconds=4.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = np.random.default_rng(1).bytes(600)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="edge.capture"):
        _, sounds = read(path)
    assert sounds[-1].end_s > 3.5
    assert "damaged" in caplog.text


@pytest.mark.parametrize("kind", [".mp4", ".mkv", ".avi", ".ts", ".wav", ".mp3", ".flac", ".ogg"])
def test_any_damage_gives_items_in_order_or_an_error_of_ours(tmp_path, kind):
    whole = make_media(tmp_path / f"whole{kind}", seconds=0.6).read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / f"broken{kind}"
    for _ in range(12):
        data = bytearray(whole[: rng.integers(1, 2 * len(whole))])
        for _ in range(rng.integers(1, 20)):
            at = rng.integers(0, len(data))
            data[at : at + 4] = rng.bytes(4)
        path.write_bytes(data)
        try:
            read(path)
        except CaptureError:
            continue


def test_the_end_is_measured_where_the_header_lies(tmp_path):
    path = make_media(tmp_path / "sound.wav")
    data = bytearray(path.read_bytes())
    size_at = data.find(b"data") + 4
    data[size_at : size_at + 4] = (0x7FFFFFFF).to_bytes(4, "little")
    path.write_bytes(data)
    with MediaFile(path) as media:
        assert media.duration_s == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": -1}, {"max_width": 1}])
def test_nonsense_options_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="fps must be above 0"):
        MediaFile(tmp_path / "clip.mp4", **options)


def test_a_photo_with_exif_is_read(tmp_path):
    jpeg = cv2.imencode(".jpg", np.full((40, 60, 3), 128, np.uint8))[1].tobytes()
    orientation = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + orientation
    path = tmp_path / "phone.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    with MediaFile(path) as media:
        assert [item.image.shape for item in media.items()] == [(40, 60, 3)]
