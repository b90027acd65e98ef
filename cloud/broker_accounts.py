"""Accounts of a Mosquitto: who may read and write which topics, as its password file and its access list.

The access list may hold entries of others; those made here stand between marks and are all that is changed.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cloud.errors import ServeError
from edge.protocol import CLOUD, NAME, PREFIX, TOPICS

PASSWORDS, ACCESS = "mien.passwords", "mien.acl"
USER = re.compile(r"[A-Za-z0-9._@/-]{1,80}\Z")
ROUNDS = 20_000
"""Of PBKDF2: a few milliseconds. Passwords here are random, so more would only slow the broker down."""

HIDDEN = ("evidence", "command", "reply")
"""Kinds that readers do not get: faces and voices on their way to the cloud, and what only device and cloud say."""


@dataclass(frozen=True)
class Account:
    """A name and the lines of the access list that say what it may do."""

    name: str
    about: str
    topics: tuple[str, ...]


def service_account() -> Account:
    """The one that `mien-cloud serve --broker` uses."""
    return Account("mien-cloud", "the service", (f"readwrite {PREFIX}/#",))


def device_account(site: str, device: str) -> Account:
    """A device: writes what it says of itself and reads what it is told, and no verdict is ever its own."""
    _check("site", site)
    _check("device", device)
    topics = []
    for spec in TOPICS:
        way = "read" if spec.direction == "cloud -> device" else "write"
        topics.append(f"{way} {PREFIX}/{site}/{device}/{spec.kind}{'/+' if spec.has_sub else ''}")
    return Account(
        f"{site}/{device}", f"device {device} of {site}", (*topics, f"read {PREFIX}/{site}/{CLOUD}/availability")
    )


def reader_account(site: str, name: str | None = None) -> Account:
    """Another dashboard: reads what the devices of one site say and what the cloud says of them, writes nothing."""
    _check("site", site)
    kinds = [f"{spec.kind}{'/+' if spec.has_sub else ''}" for spec in TOPICS if spec.kind not in HIDDEN]
    topics = [f"read {PREFIX}/{site}/+/{kind}" for kind in kinds]
    return Account(name or f"{site}-reader", f"reader of {site}", (*topics, f"read {PREFIX}/{site}/{CLOUD}/alert"))


def write_account(folder: Path, account: Account) -> str:
    """Add an account to the two files, or give it a new password; return the password. Raises ServeError."""
    if not USER.match(account.name):
        raise ServeError(f"{account.name!r} is no name for an account", fix="Use 1 to 80 of A-Z a-z 0-9 . _ @ / -")
    password = secrets.token_urlsafe(18)
    access = _without(_read(folder / ACCESS), account.name)
    if re.search(rf"^user\s+{re.escape(account.name)}\s*$", access, re.MULTILINE):
        fix = "Choose another name, or take that entry away."
        raise ServeError(f"{folder / ACCESS} has an entry for {account.name} that is not Mien's", fix=fix)
    lines = [_begin(account.name), f"# {account.about}", f"user {account.name}"]
    lines += [f"topic {topic}" for topic in account.topics]
    block = "\n".join([*lines, _end(account.name)])
    _write(folder / ACCESS, access + block + "\n")
    others = _without_password(_read(folder / PASSWORDS), account.name)
    _write(folder / PASSWORDS, f"{others}{account.name}:{hashed(password)}\n")
    return password


def remove_account(folder: Path, name: str) -> None:
    """Take an account out of the two files. Raises ServeError if there is none of Mien's."""
    access = _read(folder / ACCESS)
    left = _without(access, name)
    if left == access:
        raise ServeError(f"there is no account {name!r} in {folder}", fix=f"See {folder / ACCESS}.")
    _write(folder / ACCESS, left)
    _write(folder / PASSWORDS, _without_password(_read(folder / PASSWORDS), name))


def hashed(password: str) -> str:
    """Return what Mosquitto keeps of a password: PBKDF2-SHA512, its kind $7$."""
    salt = secrets.token_bytes(12)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _check(what: str, name: str) -> None:
    if not NAME.match(name) or (what == "device" and name == CLOUD):
        raise ServeError(f"{name!r} is no {what}", fix=f"A {what} is 1 to 36 of a-z 0-9 -, and no device is `{CLOUD}`.")


def _begin(name: str) -> str:
    return f"# mien: begin {name}"


def _end(name: str) -> str:
    return f"# mien: end {name}"


def _without(access: str, name: str) -> str:
    """Return an access list without the entry between an account's marks."""
    block = rf"^{re.escape(_begin(name))}\n.*?^{re.escape(_end(name))}\n"
    return re.sub(block, "", access, flags=re.MULTILINE | re.DOTALL)


def _without_password(passwords: str, name: str) -> str:
    return "".join(f"{line}\n" for line in passwords.splitlines() if line.partition(":")[0] != name)


def _read(path: Path) -> str:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"{path} cannot be read: {error}", fix="Name another folder with --files.") from error
    return text if text.endswith("\n") or not text else f"{text}\n"


def _write(path: Path, text: str) -> None:
    """Replace a file in one step: a broker that reads it meanwhile sees the old one or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as file:
            file.write(text)
            _give_to_broker(file.fileno(), path)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        fix = "Name a folder that you may write to with --files."
        raise ServeError(f"{path} cannot be written: {error.strerror}", fix=fix) from error


def _give_to_broker(file: int, path: Path) -> None:
    """Let the broker read what root writes: owner and mode of the file that was there, else the group of Mosquitto."""
    if path.exists():
        before = path.stat()
        os.fchmod(file, before.st_mode & 0o777)
        if os.geteuid() == 0:
            os.fchown(file, before.st_uid, before.st_gid)
    elif os.geteuid() == 0:
        with contextlib.suppress(KeyError):  # no Mosquitto on this machine: the files go elsewhere
            os.fchown(file, 0, grp.getgrnam("mosquitto").gr_gid)
