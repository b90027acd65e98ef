"""The last good settings: kept once the daemon has started with them, used when their file is wrong at the next start.

What may run and leave the device must never come from a copy that a process can write. So the copy is obeyed only where
everything that can be read of the broken file's own [site] and [privacy] is what the copy says; if anything there is
missing, unknown, wrong or different, the device starts in mode `off`: devices closed, but in reach and saying why. A
file that does not exist is no broken one: then there is no device to run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.config import ENVIRONMENT_PREFIX, POLICY_SECTIONS, SECTIONS, load_config, read_text
from edge.errors import ConfigError
from edge.perception.fetched import data_folder
from edge.places import Places
from edge.settings import Config


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file of the last good settings."""

    path: str
    """Which settings' file it was."""
    config: Config
    """As they were in effect, environment included."""


@dataclass(frozen=True)
class Chosen:
    """The settings to start with."""

    config: Config
    problem: ConfigError | None = None
    """Why they are not those of the file; None: they are."""
    closed: bool = False
    """Whether the privacy part could not be confirmed, so that the mode is off."""

    def warning(self) -> str:
        """Return what to log and publish where the last good settings are used, else nothing. Holds no secret."""
        if self.problem is None:
            return ""
        how = (
            "what can be read of [site] and [privacy] is not what the last good settings say: camera and microphone "
            "stay closed (mode off)"
            if self.closed
            else "going on with the last good settings"
        )
        return f"the settings are wrong; {how}. {self.problem}"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the daemon's folder: the first of systemd's $STATE_DIRECTORY, else that of fetched files."""
    named = environment.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(named) if named else data_folder()


def choose_config(path: Path, folder: Path, environment: Mapping[str, str] = os.environ) -> Chosen:
    """Return the settings of `path`, or the last good ones of `folder` if the file is wrong.

    Raises ConfigError as `load_config` does if there are no last good ones of this path, or the file does not exist.
    """
    try:
        return Chosen(load_config(path, environment))
    except ConfigError as error:
        last = _last_good(path, folder) if path.exists() else None
        if last is None:
            raise
        if _confirmed(path, environment, last):
            return Chosen(last, error)
        return Chosen(_closed(last), error, closed=True)


def keep_last_good(config: Config, path: Path, folder: Path) -> None:
    """Keep `config`, read from `path`, in `folder`: readable by its owner only, whole or not at all. Raises OSError.

    A copy that is the same already is left alone, so that restarts do not wear the card.
    """
    target = _target(path, folder)
    content = msgspec.json.encode(Kept(str(path.resolve()), config))
    if target.exists() and target.read_bytes() == content and not target.stat().st_mode & 0o077:
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=target.name)  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _target(path: Path, folder: Path) -> Path:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    return folder / f"last-good-{digest}.json"


def _last_good(path: Path, folder: Path) -> Config | None:
    try:
        kept = msgspec.json.decode(_target(path, folder).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):  # also one of a version with other settings
        return None
    return kept.config if kept.path == str(path.resolve()) else None


def _confirmed(path: Path, environment: Mapping[str, str], last: Config) -> bool:
    """Tell whether the broken file says of the policy what `last` says, all of it, and the environment says nothing."""
    try:
        said = Places(read_text(path)).readable()
    except ConfigError:
        return False
    variables = [name.removeprefix(ENVIRONMENT_PREFIX) for name in environment if name.startswith(ENVIRONMENT_PREFIX)]
    meant = {name.lower().partition("__")[0] for name in variables}
    if not meant <= SECTIONS.keys() - set(POLICY_SECTIONS):
        return False  # the policy, or perhaps the policy misspelt
    return all(_same(section, said.get(section, {}), last) for section in POLICY_SECTIONS)


def _same(section: str, said: dict[str, Any], last: Config) -> bool:
    fields = {each.name: each for each in msgspec.structs.fields(SECTIONS[section])}
    if not said.keys() <= fields.keys():
        return False
    try:
        values = {key: msgspec.convert(value, fields[key].type) for key, value in said.items()}
    except msgspec.ValidationError:
        return False
    now = {name: values.get(name, each.default) for name, each in fields.items()}
    return now == msgspec.structs.asdict(getattr(last, section))


def _closed(config: Config) -> Config:
    return msgspec.structs.replace(config, site=msgspec.structs.replace(config.site, mode="off"))
