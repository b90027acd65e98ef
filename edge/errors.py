"""The errors of Mien, one tree. Each says what happened and what to do.

MienError
├── ConfigError            a setting is missing, unknown, of the wrong type or out of range
├── ModelError             a model or its manifest is missing, damaged or not what it says
│   └── RuntimeMissing     neither LiteRT nor tflite-runtime can be imported
├── CaptureError           a source of frames or sound failed
│   ├── SourceMissing      the file, camera or microphone does not exist, or its library is not installed
│   ├── NoStreams          a media file holds neither frames nor sound
│   └── Undecodable        a media file is damaged or of an unknown format
├── ProtocolError          a message does not follow the protocol
│   ├── BadTopic           a topic that is not in the table of docs/protocol.md
│   ├── BadMessage         a payload that does not decode, or is too large
│   └── UnknownSchema      a message of another major version
├── LinkError              the broker refused or cannot be used as configured
├── OutboxError            the store-and-forward database cannot be used
├── PolicyError            the policy forbids what was asked, or its file could be changed by anybody
├── GpioError              a GPIO line cannot be driven or read
└── NoticeError            the sign for the door cannot be made
"""

from __future__ import annotations

from dataclasses import dataclass


class MienError(Exception):
    """Base of all errors of this project.

    `what` happened goes first, `fix` says what to do about it; `str()` gives both. `code` is stable and documented in
    docs/errors.md, for scripts and dashboards that must not parse sentences.
    """

    code = "error"

    def __init__(self, what: str, *, fix: str = "") -> None:
        super().__init__(what if not fix else f"{what}. {fix}")
        self.what = what
        self.fix = fix


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or questionable, in a configuration."""

    place: str
    """e.g. "edge.toml, line 12", or "environment variable MIEN__CAMERA__FPS"."""
    section: str
    key: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        if not self.fix:
            return f"{self.place}: {self.what}"
        # What shows a line and a caret ends a line itself.
        return f"{self.place}: {self.what}" + ("\n  " if "\n" in self.what else ". ") + self.fix


class ConfigError(MienError):
    """A setting is missing, unknown, of the wrong type or out of range. `problems` names all that are, at once."""

    code = "config"

    def __init__(self, what: str, *, fix: str = "", problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(what, fix=fix)
        self.problems = problems


class ModelError(MienError):
    """A model or its manifest is missing, damaged or not what it says."""

    code = "model"


class RuntimeMissing(ModelError):
    """Neither LiteRT nor tflite-runtime can be imported."""

    code = "runtime-missing"


class CaptureError(MienError):
    """A source of frames or sound failed."""

    code = "capture"


class SourceMissing(CaptureError):
    """The file, camera or microphone does not exist, or its library is not installed."""

    code = "source-missing"


class NoStreams(CaptureError):
    """A media file holds neither frames nor sound."""

    code = "no-streams"


class Undecodable(CaptureError):
    """A media file is damaged or of an unknown format."""

    code = "undecodable"


class ProtocolError(MienError):
    """A message does not follow the protocol."""

    code = "protocol"


class BadTopic(ProtocolError):
    """A topic that is not in the table of docs/protocol.md."""

    code = "bad-topic"


class BadMessage(ProtocolError):
    """A payload that does not decode, or is too large."""

    code = "bad-message"


class UnknownSchema(ProtocolError):
    """A message of another major version."""

    code = "unknown-schema"


class LinkError(MienError):
    """The broker refused or cannot be used as configured."""

    code = "link"


class OutboxError(MienError):
    """The store-and-forward database cannot be used."""

    code = "outbox"


class PolicyError(MienError):
    """The policy forbids what was asked, or its file could be changed by anybody."""

    code = "policy"


class GpioError(MienError):
    """A GPIO line cannot be driven or read."""

    code = "gpio"


class NoticeError(MienError):
    """The sign for the door cannot be made."""

    code = "notice"
