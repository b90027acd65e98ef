"""Settings: a TOML file, overridden by environment variables MIEN__SECTION__KEY, except for the policy.

All that is wrong is told at once: file, line, key, value, what the value may be, the nearest key that exists.
The settings themselves are in edge/settings.py, what follows from several of them together in edge/advice.py.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from edge.advice import contradictions
from edge.errors import ConfigError, Problem
from edge.expected import choices, expected
from edge.places import Places, syntax_error
from edge.redact import redacted
from edge.settings import Config

ENVIRONMENT_PREFIX = "MIEN__"
DEFAULT_PATH = Path("/etc/mien/edge.toml")

SECTIONS: dict[str, type[msgspec.Struct]] = {each.name: each.type for each in msgspec.structs.fields(Config)}
POLICY_SECTIONS = ("site", "privacy")
"""What the policy is made of: only the file, which is root's, may say it. The name of the site stands there, too."""

Where = Callable[[str, str], str]
"""Says in words where a key of a section stands; key "" is the section itself."""


@dataclass(frozen=True)
class Origin:
    """Where a value comes from."""

    kind: Literal["default", "file", "environment"]
    place: str = ""
    """In words: file and line, or the variable's name; empty for a default."""


@dataclass(frozen=True)
class Loaded:
    """Settings that are right, and where each of them comes from."""

    config: Config
    origins: dict[tuple[str, str], Origin]
    """By section and key, every key of every section."""


def load_config(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the settings of `path`, overridden by `environment` where it is no policy.

    Raises ConfigError naming all that is wrong.
    """
    return read_config(path, environment).config


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Read the settings like `load_config`, and say where each comes from. Raises ConfigError."""
    text = read_text(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, what = syntax_error(text, error)
        problem = Problem(f"{path}, line {line}", "", "", what, "TOML is explained at https://toml.io.")
        raise _error([problem]) from error
    places = Places(text)

    def where(section: str, key: str) -> str:
        line = places.line(section, key)
        return str(path) if line is None else f"{path}, line {line}"

    return _Reader(values, environment, where).loaded()


def read_text(path: Path) -> str:
    """Return the text of the settings' file. Raises ConfigError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read: {reason}", fix="Name the file with --config.") from error


def with_alpha(config: Config, alpha: float | None) -> Config:
    """Return the settings with another `gate.alpha`; None leaves them as they are."""
    if alpha is None:
        return config
    return msgspec.structs.replace(config, gate=msgspec.structs.replace(config.gate, alpha=alpha))


def build_config(values: dict[str, Any], *, environment: Mapping[str, str]) -> Config:
    """Return the settings in `values` (section -> key -> value) and `environment`. Raises ConfigError."""
    return (
        _Reader(values, environment, lambda section, key: f"{section}.{key}" if key else f"[{section}]").loaded().config
    )


@dataclass
class _Reader:
    """One reading of the settings: collects what is right, and all that is wrong."""

    values: dict[str, Any]
    environment: Mapping[str, str]
    where: Where
    good: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[tuple[str, str], Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    meant: set[tuple[str, str]] = field(default_factory=set)
    """What misspelt names probably are: not to be told as missing once more."""

    def loaded(self) -> Loaded:
        for section, table in self.values.items():
            self._section(section, table)
        for name, value in self.environment.items():
            if name.startswith(ENVIRONMENT_PREFIX):
                self._override(name, value)
        for section in SECTIONS:
            self._complete(section)
        if not self.problems:
            config = msgspec.convert(self.good, Config)
            self.problems += (
                self._placed(each.section, each.key, each.what, each.fix) for each in contradictions(config)
            )
        if self.problems:
            raise _error(self.problems)
        return Loaded(config, self.origins)

    def _section(self, section: str, table: Any) -> None:
        if section not in SECTIONS:
            if isinstance(table, dict):
                self._unknown(section, "", f"unknown section [{section}]", list(SECTIONS))
            else:
                self._wrong("", section, f"{section} stands outside any section", "Write its [section] above it.")
        elif not isinstance(table, dict):
            self._wrong(section, "", f"{section} stands outside any section", f"[{section}] is a section of its own.")
        else:
            for key, value in table.items():
                self._key(section, key, value)

    def _key(self, section: str, key: str, value: Any) -> None:
        kinds = _kinds(section)
        if key not in kinds:
            self._unknown(section, key, f"unknown key {section}.{key}", list(kinds))
            return
        self.origins[section, key] = Origin("file", self.where(section, key))
        self._take(section, key, value, f"{section}.{key} = {_shown(key, value)}", strict=True)

    def _override(self, name: str, value: str) -> None:
        section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if key not in (_kinds(section) if section in SECTIONS else {}):
            known = [f"{ENVIRONMENT_PREFIX}{s}__{key}".upper() for s in SECTIONS for key in _kinds(s)]
            near = _near(name, known)
            fix = f"Did you mean {near[0]}?" if near else "docs/configuration.md lists the settings."
            self.problems.append(Problem(f"environment variable {name}", "", "", f"{name} names no setting", fix))
            return
        if section in POLICY_SECTIONS:
            what = f"{section}.{key} is policy, which no variable may change"
            fix = "Say it in the file, or unset the variable."
            self.problems.append(Problem(f"environment variable {name}", section, key, what, fix))
            return
        self.problems = [each for each in self.problems if (each.section, each.key) != (section, key)]
        self.origins[section, key] = Origin("environment", f"environment variable {name}")
        self._take(section, key, value, f"{section}.{key} = {_shown(key, value)}", strict=False)

    def _take(self, section: str, key: str, value: Any, said: str, *, strict: bool) -> None:
        kind = _kinds(section)[key]
        try:
            self.good.setdefault(section, {})[key] = _converted(value, kind, strict=strict)
        except msgspec.ValidationError:
            near = _near(str(value), choices(kind))
            fix = f"Did you mean {near[0]}?" if near else ""
            self._wrong(section, key, f"{said}, but it must be {expected(kind)}", fix)

    def _complete(self, section: str) -> None:
        """Note what is missing, and that the rest has its default value."""
        fields = msgspec.structs.fields(SECTIONS[section])
        needed = [each.name for each in fields if each.required]
        missing = [key for key in needed if (section, key) not in self.meant | self.origins.keys()]
        if missing and missing == needed and section not in self.values:
            if (section, "") not in self.meant:
                fix = f"It must say: {', '.join(missing)}; see docs/configuration.md."
                self._wrong(section, "", f"section [{section}] is missing", fix)
            missing = []
        for key in missing:
            fix = f"It has no default and must be {expected(_kinds(section)[key])}."
            self._wrong(section, key, f"{section}.{key} is missing", fix)
        for each in fields:
            self.origins.setdefault((section, each.name), Origin("default"))

    def _wrong(self, section: str, key: str, what: str, fix: str = "") -> None:
        self.problems.append(self._placed(section, key, what, fix))

    def _unknown(self, section: str, key: str, what: str, known: list[str]) -> None:
        near = _near(key or section, known)
        self.meant |= {(section, name) if key else (name, "") for name in near}
        self._wrong(section, key, what, f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}.")

    def _placed(self, section: str, key: str, what: str, fix: str) -> Problem:
        origin = self.origins.get((section, key))
        place = origin.place if origin is not None and origin.place else self.where(section, key)
        return Problem(place, section, key, what, fix)


def _converted(value: Any, kind: Any, *, strict: bool) -> Any:
    converted = msgspec.convert(value, kind, strict=strict)
    if isinstance(converted, float) and not math.isfinite(converted):
        raise msgspec.ValidationError("TOML knows inf and nan, no setting does")
    return converted


def _kinds(section: str) -> dict[str, Any]:
    return {each.name: each.type for each in msgspec.structs.fields(SECTIONS[section])}


def _shown(key: str, value: Any) -> str:
    return repr(redacted(key, value))


def _near(word: str, known: list[str]) -> list[str]:
    return difflib.get_close_matches(word, known, n=1)


def _error(problems: list[Problem]) -> ConfigError:
    if len(problems) == 1:
        return ConfigError(str(problems[0]), problems=tuple(problems))
    lines = "\n".join(f"  {each}" for each in problems)
    return ConfigError(f"the settings have {len(problems)} problems:\n{lines}", problems=tuple(problems))
