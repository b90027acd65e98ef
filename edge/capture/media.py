"""Media files: frames and sound of one file on one clock.

    with MediaFile("clip.mp4") as media:
        for item in media.items():
            ...  # Frame or Sound, in time order

Time 0 is the start of the file: the earliest stamp of any of its streams. Frames are sampled at ticks of `fps`; sound
is contiguous from time 0, so sample n stands for n / 16000 s.
"""

from __future__ import annotations

import heapq
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge.capture.decode import Clock, Track, opened, undecodable
from edge.capture.decode_frames import FrameTrack, usual_frame_s
from edge.capture.decode_sound import SoundTrack
from edge.errors import NoStreams

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

    from edge.capture.base import Frame, Sound

log = logging.getLogger(__name__)

ATTACHED_PICTURE = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC: the cover of a song is no video."""


class MediaFile:
    """A media file of any common kind: mp4, mov, avi, mkv, webm, wav, mp3, flac, ogg, png, jpg.

    The first picture and the first sound are decoded at once: a stream that gives none counts as absent.

    Raises SourceMissing (no such file, a folder, not readable), Undecodable (damaged or no media file) and NoStreams
    (neither frames nor sound in it, such as subtitles alone).
    """

    def __init__(self, path: str | os.PathLike[str], *, fps: float = 5.0, max_width: int = 640) -> None:
        if fps <= 0 or max_width < 2:
            raise ValueError(f"fps must be above 0 and max_width at least 2, not {fps} and {max_width}")
        self.path = Path(path)
        self._fps = fps
        self._max_width = max_width
        self._closed = False
        self._measured_s: float | None = None
        with opened(self.path) as container:
            self._start_s = container.start_time / 1e6 if container.start_time is not None else 0.0
            self._video, self._audio = _stream_indices(container)
            any_media = any(_is_media(stream) for stream in container.streams)
        if self._video is None and self._audio is None:
            raise undecodable(self.path, "its codecs are unknown") if any_media else _no_streams(self.path)
        self._drop_empty_streams()

    @property
    def has_frames(self) -> bool:
        """Whether at least one picture could be decoded."""
        return self._video is not None

    @property
    def has_sound(self) -> bool:
        """Whether at least one block of sound could be decoded."""
        return self._audio is not None

    @property
    def duration_s(self) -> float:
        """The end of the last frame or sound, in seconds, whatever the container's header says.

        Measured when first asked, by reading all packets without decoding them.
        """
        if self._measured_s is None:
            indices = [index for index in (self._video, self._audio) if index is not None]
            self._measured_s = max(self._packets_end_s(index) for index in indices)
        return self._measured_s

    def items(self) -> Iterator[Frame | Sound]:
        """Yield frames and sound in order of their time; every call begins at the start of the file.

        A file that breaks off gives what is good and a warning in the log. After `close` it ends at its next step.
        """
        with ExitStack() as stack:
            tracks = [self._open(index, stack) for index in (self._video, self._audio) if index is not None]
            parts: list[Iterable[Frame | Sound]] = [*tracks]
            for item in heapq.merge(*parts, key=_time_s):
                if self._closed:
                    return
                yield item
            bad = sum(track.bad_packets for track in tracks)
            if bad:
                log.warning("%s: %d damaged pieces were left out", self.path, bad)

    def close(self) -> None:
        """End a running `items` at its next step. A file that nobody iterates holds nothing open."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, index: int, stack: ExitStack) -> FrameTrack | SoundTrack:
        track = Track(self.path, index)
        stack.callback(track.close)
        clock = Clock(self._start_s)
        if index == self._video:
            return FrameTrack(track, clock, fps=self._fps, max_width=self._max_width)
        return SoundTrack(track, clock)

    def _drop_empty_streams(self) -> None:
        damaged = False
        for index in (self._video, self._audio):
            if index is None:
                continue
            with ExitStack() as stack:
                track = self._open(index, stack)
                empty = next(iter(track), None) is None
                damaged = damaged or (empty and track.bad_packets > 0)
            if empty and index == self._video:
                self._video = None
            elif empty:
                self._audio = None
        if self._video is None and self._audio is None:
            if damaged:
                raise undecodable(self.path, "nothing in it can be decoded")
            raise _no_streams(self.path)

    def _packets_end_s(self, index: int) -> float:
        with ExitStack() as stack:
            track = Track(self.path, index)
            stack.callback(track.close)
            clock = Clock(self._start_s)
            usual_s = usual_frame_s(track.stream) if index == self._video else 0.0
            return max((_end_s(packet, clock, usual_s) for packet in track.packets()), default=0.0)


def _time_s(item: Frame | Sound) -> float:
    return item.time_s


def _stream_indices(container: InputContainer) -> tuple[int | None, int | None]:
    """Return the stream numbers of the first video and the first sound of a known codec, None where there is none."""
    # PyAV gives a stream of an unknown codec no codec context.
    known = [each for each in container.streams if _is_media(each) and getattr(each, "codec_context", None) is not None]
    pictures = (each.index for each in known if each.type == "video")
    sounds = (each.index for each in known if each.type == "audio")
    return next(pictures, None), next(sounds, None)


def _is_media(stream: Stream) -> bool:
    return stream.type == "audio" or (stream.type == "video" and not stream.disposition.value & ATTACHED_PICTURE)


def _end_s(packet: Packet[Stream], clock: Clock, usual_s: float) -> float:
    """Return when the last sample or picture of a packet ends. Packets come in order of decoding, not of showing."""
    base = packet.time_base
    if packet.size == 0 or base is None:
        return 0.0
    length_s = float(packet.duration * base) if packet.duration else usual_s
    stamp = packet.dts if packet.dts is not None else packet.pts
    placed_s = clock.place(None if stamp is None else float(stamp * base), length_s)
    if packet.pts is not None and packet.dts is not None:
        placed_s += float((packet.pts - packet.dts) * base)
    return placed_s + length_s


def _no_streams(path: Path) -> NoStreams:
    return NoStreams(f"{path} holds neither frames nor sound", fix="Give a file with video or sound in it")
