"""Settings: a TOML file, overridden by environment variables MIEN__SECTION__KEY.

An unknown key is an error that names its line and the nearest key that exists; a wrong value names the key and what it
may be. The settings themselves are in edge/settings.py.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edge.errors import ConfigError
from edge.protocol import CLOUD
from edge.settings import Config

ENVIRONMENT_PREFIX = "MIEN__"
DEFAULT_PATH = Path("/etc/mien/edge.toml")

SECTIONS: dict[str, type[msgspec.Struct]] = {field.name: field.type for field in msgspec.structs.fields(Config)}


class Where(Protocol):
    """Says in words where a key stands, for messages; key "" is the section itself."""

    def __call__(self, section: str, key: str) -> str:
        """Return e.g. "edge.toml, line 12"."""


def _by_name(section: str, key: str) -> str:
    return f"{section}.{key}" if key else f"[{section}]"


def load_config(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the settings of `path`, overridden by `environment`. Raises ConfigError naming file, line, key and value."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", fix="Name the file with --config.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", fix="See docs/configuration.md for the format.") from error
    return build_config(values, environment=environment, where=lambda section, key: _place(path, text, section, key))


def build_config(
    values: dict[str, Any],
    *,
    environment: Mapping[str, str],
    where: Where = _by_name,
) -> Config:
    """Return the settings in `values` (section -> key -> value) and `environment`. Raises ConfigError."""
    merged = {name: dict(_table(name, section, where)) for name, section in values.items()}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            _override(merged, name, value)
    for section, table in merged.items():
        _check_known(section, table, where)
    try:
        config = msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise _explained(error, merged, where) from error
    if config.device.name == CLOUD:
        raise ConfigError(f"{where('device', 'name')}: {CLOUD!r} is reserved", fix="Choose another name.")
    return config


def _table(name: str, section: Any, where: Where) -> dict[str, Any]:
    if not isinstance(section, dict):
        raise ConfigError(f"{where('', name)}: {name} stands outside any section", fix=f"Write [{name}] first.")
    return section


def _override(merged: dict[str, dict[str, Any]], name: str, value: str) -> None:
    section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
    kinds = {field.name: field.type for field in _fields(section)} if section in SECTIONS else {}
    if key not in kinds:
        known = [f"{ENVIRONMENT_PREFIX}{s}__{field.name}".upper() for s in SECTIONS for field in _fields(s)]
        raise ConfigError(f"the environment variable {name} names no setting", fix=_nearest(name, known))
    try:
        merged.setdefault(section, {})[key] = msgspec.convert(value, kinds[key], strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the environment variable {name} is {value!r}: {error}") from error


def _check_known(section: str, table: dict[str, Any], where: Where) -> None:
    if section not in SECTIONS:
        raise ConfigError(f"{where(section, '')}: unknown section [{section}]", fix=_nearest(section, list(SECTIONS)))
    known = [field.name for field in _fields(section)]
    for key in table:
        if key not in known:
            raise ConfigError(f"{where(section, key)}: unknown key {section}.{key}", fix=_nearest(key, known))


def _fields(section: str) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(SECTIONS[section])


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."


def _explained(error: msgspec.ValidationError, merged: dict[str, dict[str, Any]], where: Where) -> ConfigError:
    message = str(error)
    missing = re.search(r"missing required field `(\w+)`(?: - at `\$\.(\w+)`)?", message)
    if missing:
        field, section = missing.groups()
        name = f"{section}.{field}" if section else f"section [{field}]"
        return ConfigError(
            f"{where(section or field, '')}: {name} is missing", fix="It has no default; see docs/configuration.md."
        )
    found = re.search(r"`\$((?:\.\w+)+)`$", message)
    if found:
        section, _, key = found.group(1)[1:].partition(".")
        value = merged.get(section, {}).get(key)
        return ConfigError(
            f"{where(section, key)}: {section}.{key} = {value!r}: {message[: found.start()].rstrip(' -at')}"
        )
    return ConfigError(message)


def _place(path: Path, text: str, section: str, key: str) -> str:
    """Return "file, line N" of a key, or of its section, or only the file where neither stands in it."""
    current = ""
    best = str(path)
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([\w.-]+)\s*\]", line)
        if header:
            current = header.group(1)
            if current == section:
                best = f"{path}, line {number}"
        elif current == section and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f"{path}, line {number}"
    return best
