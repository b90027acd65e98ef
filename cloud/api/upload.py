"""Receiving files: streamed to disk as they come, counted all the way, without a name and without a trace.

Starlette's own form parser takes in everything before anybody may object, into a folder that can be memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self

import python_multipart
from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from cloud.analyse.jobs import Upload
from cloud.analyse.limits import MEGA, Limits

READ_TIMEOUT_S = 60.0
"""Without a byte for so long the sender is gone, or means to hold the line."""

MAX_FIELD_BYTES = 100_000
MAX_FIELDS = 10
MAX_HEADER_BYTES = 4096
NAME_LENGTH = 100
FORM = "multipart/form-data"

DISCONNECTED, TIMEOUT, TOO_LARGE, UNSUPPORTED, UNPROCESSABLE, NO_SPACE = 400, 408, 413, 415, 422, 507


class Received:
    """A form with files, as it comes in. Leaving the `with` block closes the files, which ends them, unless taken.

    with Received(limits, files.new) as form:
        await form.read(request)
        form.take_uploads(), form.fields
    """

    def __init__(self, limits: Limits, new_file: Callable[[], BinaryIO]) -> None:
        self._limits, self._new_file = limits, new_file
        self.fields: dict[str, str] = {}
        self._uploads: list[Upload] = []
        self._headers: dict[str, bytes] = {}
        self._header = [b"", b""]
        self._name, self._value = "", bytearray()
        self._into: BinaryIO | None = None
        self._complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for upload in self._uploads:
            upload.file.close()

    def take_uploads(self) -> list[Upload]:
        """Return the files; whoever takes them closes them."""
        taken, self._uploads = self._uploads, []
        return taken

    async def read(self, request: Request) -> None:
        """Read the whole body. Raises HTTPException if it is no form, too large, too slow or breaks off."""
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != FORM.encode() or b"boundary" not in options:
            raise HTTPException(UNSUPPORTED, f"Send {FORM} with `file` or `text`, or application/json with `text`.")
        self._check_size(_length(request))
        parser = python_multipart.MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_header_field": lambda data, start, end: self._on_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._on_header(1, data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_end": self._on_end,
            },
        )
        try:
            await self._feed(request, parser)
        except (FormParserError, UnicodeDecodeError) as error:
            raise HTTPException(UNPROCESSABLE, f"The form is damaged: {error}") from error
        except OSError as error:
            raise HTTPException(NO_SPACE, f"The service cannot store the file: {error.strerror}.") from error
        if not self._complete:
            raise HTTPException(UNPROCESSABLE, "The form breaks off before its end.")

    async def _feed(self, request: Request, parser: python_multipart.MultipartParser) -> None:
        received = 0
        stream = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream), READ_TIMEOUT_S)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise HTTPException(TIMEOUT, "The upload has come to a halt.") from None
            except ClientDisconnect:
                raise HTTPException(DISCONNECTED, "The upload was broken off.") from None
            received += len(chunk)
            self._check_size(received)
            parser.write(chunk)

    def _check_size(self, size: int) -> None:
        most = self._limits.max_bytes + MAX_FIELDS * MAX_FIELD_BYTES
        if size > most:
            raise HTTPException(
                TOO_LARGE, f"The files are larger than {self._limits.max_bytes / MEGA:.0f} MB together."
            )

    def _on_part_begin(self) -> None:
        if len(self.fields) + len(self._uploads) >= MAX_FIELDS:
            raise HTTPException(UNPROCESSABLE, f"The form has more than {MAX_FIELDS} fields.")
        self._headers, self._header = {}, [b"", b""]
        self._value, self._into = bytearray(), None

    def _on_header(self, place: int, data: bytes) -> None:
        self._header[place] += data
        if len(self._header[place]) > MAX_HEADER_BYTES:
            raise HTTPException(UNPROCESSABLE, "The form is damaged: a header without end.")

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[name.lower().decode("latin-1")] = value
        self._header = [b"", b""]

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        self._name = options.get(b"name", b"").decode()
        if not options.get(b"filename"):  # nor is there a file where no name is: browsers send empty file fields so
            return
        name = shown_name(options[b"filename"].decode(errors="replace"))
        if self._name != "file":
            raise HTTPException(UNPROCESSABLE, f"Files go into `file`, not into {shown_name(self._name)!r}.")
        if len(self._uploads) >= self._limits.max_files:
            raise HTTPException(UNPROCESSABLE, f"{self._limits.max_files} files are the most.")
        self._into = self._new_file()
        self._uploads.append(Upload(name, self._into))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into.write(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise HTTPException(TOO_LARGE, f"{shown_name(self._name)!r} is longer than {MAX_FIELD_BYTES} bytes.")

    def _on_part_end(self) -> None:
        if self._into is not None:
            self._into.flush()
        elif self._name != "file":
            self.fields[self._name] = self._value.decode()

    def _on_end(self) -> None:
        self._complete = True


def shown_name(name: str) -> str:
    """Return the last part of a file's name, fit to be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    fit = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in last).strip()
    return fit[:NAME_LENGTH] or "file"


def _length(request: Request) -> int:
    with contextlib.suppress(ValueError):
        return int(request.headers.get("content-length", "0"))
    return 0
