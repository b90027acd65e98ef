"""Opening a media file and decoding one of its streams: the shared half of frames and sound (PyAV, FFmpeg inside)."""

from __future__ import annotations

import ctypes
import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO

import av
import av.error

from edge.errors import SourceMissing, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

log = logging.getLogger(__name__)

FORMATS = (
    "mov,matroska,webm,avi,flv,asf,mpegts,mpeg,mpegvideo,h264,hevc,ogg,wav,w64,aiff,mp3,flac,aac,ac3,amr,caf,au,gif,"
    "png_pipe,jpeg_pipe,bmp_pipe,webp_pipe,srt,webvtt,ass"
)
"""What may be opened. Left out on purpose: play lists and `concat` scripts, which make FFmpeg read other files and
addresses (an upload must not), and the text-art formats, in which any text file is a video."""

REANCHOR_S = 600.0
"""A jump of the time stamps forward by more than this is a fault of the file, not a pause to be filled with silence."""

BACKWARD_S = 2.0
"""A jump back by more than this is a new start of the time stamps (joined transport streams), not jitter."""


class Clock:
    """The time stamps of one stream as seconds since the start of the file, without impossible jumps."""

    def __init__(self, start_s: float) -> None:
        self._offset_s = -start_s
        self._next_s: float | None = None

    def place(self, stamp_s: float | None, length_s: float) -> float:
        """Return where an item of `length_s` seconds with this stamp lies; without a stamp it follows the last one."""
        expected = self._next_s
        if stamp_s is None:
            time_s = 0.0 if expected is None else expected
        else:
            time_s = stamp_s + self._offset_s
            origin = 0.0 if expected is None else expected
            if not -BACKWARD_S <= time_s - origin <= REANCHOR_S:
                self._offset_s += origin - time_s
                time_s = origin
        self._next_s = time_s + length_s
        return time_s


class Track:
    """One stream of a media file, decoded from its start.

    Each track has its own reader of the file: memory stays flat however badly frames and sound are interleaved in it.

    Raises SourceMissing and Undecodable as `opened` does.
    """

    def __init__(self, path: Path, index: int) -> None:
        self._path = path
        self._stack = ExitStack()
        self._container = self._stack.enter_context(opened(path))
        self.stream = self._container.streams[index]
        if isinstance(self.stream, av.VideoStream | av.AudioStream):
            self.stream.codec_context.thread_count = (
                1  # more would be no use on a device that spares one core for all of this
            )
        self.bad_packets = 0

    def packets(self) -> Iterator[Packet[Stream]]:
        """Yield the packets of the stream; where the file breaks off, count it and stop."""
        while True:
            try:
                yield from self._container.demux(self.stream)
            except IndexError:
                # PyAV's answer to a packet of a stream that was not there when the file was opened: read on behind it.
                self.bad_packets += 1
            except (av.error.FFmpegError, OSError) as error:
                self.bad_packets += 1
                log.warning("%s breaks off: %s", self._path, error)
                return
            else:
                return

    def decoded(self) -> Iterator[av.VideoFrame | av.AudioFrame]:
        """Yield the decoded frames of the stream; packets that do not decode are counted and left out."""
        for packet in self.packets():
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                self.bad_packets += 1
                continue
            wanted = [frame for frame in frames if isinstance(frame, av.VideoFrame | av.AudioFrame)]
            for frame in wanted:
                keep_layout(frame)
            yield from wanted

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def keep_layout(frame: av.VideoFrame | av.AudioFrame) -> None:
    """Never let go of a layout in an unusual order, such as QuickTime's 5.1: some bytes for each frame.

    PyAV (17.1 to 19.0) frees the memory of such a layout twice, with the layout and with its frame, and the process
    dies. Its name then lists the channels, "6 channels (FL+FR+...)"; usual ones have a name of their own.
    """
    if isinstance(frame, av.AudioFrame) and " channels (" in frame.layout.name:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(frame.layout))


class _Nameless:
    """An open file without its name: FFmpeg takes some names for patterns or addresses."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a media file of one of `FORMATS` for a `with` block.

    Raises SourceMissing if there is no such file or it may not be read, Undecodable if it is not a media file.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise SourceMissing(f"{path} is no regular file", fix="Name a media file")
    try:
        file = path.open("rb")
    except IsADirectoryError as error:
        raise SourceMissing(f"{path} is a folder", fix="Name a media file in it") from error
    except OSError as error:
        raise SourceMissing(
            f"cannot open {path}: {error.strerror}", fix="Check the name and who may read it"
        ) from error
    with file:
        try:
            container = av.open(_Nameless(file), "r", options={"format_whitelist": FORMATS}, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise undecodable(path, reason) from error
        with container:
            yield container


def undecodable(path: Path, reason: str) -> Undecodable:
    """Return the error for a file that gives nothing."""
    return Undecodable(
        f"{path} is damaged or not a media file: {reason}",
        fix="Give mp4, mov, avi, mkv, webm, wav, mp3, flac, ogg, png or jpg, and check that it plays elsewhere",
    )
