"""Checks of files: that the daemon's user may open what it must and nobody else may, and that certificates hold."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.clock import SystemClock
from edge.commands.check import named_files
from edge.doctor.ground import Ground
from edge.doctor.report import Finding
from edge.settings import Config

SOON_DAYS = 30.0
DAY_S = 86_400.0

GROUPS = "video, render, audio, gpio"
"""Groups that own the device nodes on Raspberry Pi OS and Debian."""


@dataclass(frozen=True)
class User:
    """Whose rights are looked at: the service's user where there is one, else who runs this."""

    name: str
    uid: int
    gids: frozenset[int]

    def may(self, path: Path, *, write: bool = False) -> bool:
        """Tell by owner, group and mode whether `path` may be read, and written too; root may everything."""
        if self.uid == 0:
            return True
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid in self.gids else 0
        need = 0o6 if write else 0o4
        return (found.st_mode >> shift) & need == need


def check_certificates(ground: Ground) -> Finding:
    """Say how many days the TLS certificates hold, and whether certificate and key belong together."""
    mqtt = ground.config.mqtt
    if not mqtt.broker.startswith("mqtts://") or not (mqtt.ca_file or mqtt.certificate_file):
        return Finding("skip", "no TLS files configured")
    now = SystemClock().wall()
    try:
        days = {path: _days(path, now) for path in (mqtt.ca_file, mqtt.certificate_file) if path}
        if mqtt.certificate_file:
            ssl.create_default_context().load_cert_chain(mqtt.certificate_file, mqtt.key_file or None)
    except PermissionError as error:
        return Finding("warn", f"{error.filename or mqtt.key_file} may not be read by this user", "Run this with sudo.")
    except OSError as error:  # ssl.SSLError is one
        what = f"the TLS files cannot be used: {getattr(error, 'reason', None) or error}"
        return Finding("fail", what, "Do certificate and key belong together? Enroll the device again.")
    text = ", ".join(
        f"{path} {left:.0f} days left" if left >= 0 else f"{path} has expired" for path, left in days.items()
    )
    detail = {path: round(left, 1) for path, left in days.items()}
    if min(days.values()) < 0:
        return Finding("fail", text, "Enroll the device again; or is the clock wrong?", detail)
    if min(days.values()) < SOON_DAYS:
        return Finding("warn", text, "Enroll the device again before they expire.", detail)
    return Finding("ok", text, detail=detail)


def _days(path: str, now: float) -> float:
    """Return the days that the first certificate of a PEM file is still good for. Raises OSError."""
    with Path(path).open("rb"):
        pass  # so that what is missing or forbidden is named as such
    # The ssl module decodes no certificate but a peer's in public; this is what its own tests use, since Python 3.1.
    decoded: dict[str, Any] = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]  # noqa: SLF001
    return (ssl.cert_time_to_seconds(decoded["notAfter"]) - now) / DAY_S


def check_permissions(ground: Ground) -> Finding:
    """Say whether the daemon's user may open devices and folders, and others may not get at secrets or the policy."""
    user = service_user(ground.daemon.unit)
    config = ground.config
    wrong = [*_denied(user, config), *_exposed(config), *_loose(ground.path)]
    text = f"user {user.name}"
    if wrong:
        return Finding(
            "warn" if user.uid == 0 else "fail", f"{text}: {'; '.join(each for each, _ in wrong)}", wrong[0][1]
        )
    if user.uid == 0:
        return Finding(
            "ok", f"{text} may open everything; whether the service's own user may, is seen where it is installed"
        )
    return Finding("ok", f"{text} may open devices and folders; settings and secrets are protected")


def service_user(unit: dict[str, str]) -> User:
    """Return the user of the installed unit, else the one who runs this."""
    name = unit.get("User", "")
    try:
        entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.geteuid())
    except KeyError:  # DynamicUser, while the service does not run
        entry = pwd.getpwuid(os.geteuid())
    if entry.pw_uid == os.geteuid():
        return User(entry.pw_name, entry.pw_uid, frozenset({os.getegid(), *os.getgroups()}))
    named = {group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem}
    given = {grp.getgrnam(each).gr_gid for each in unit.get("SupplementaryGroups", "").split()}
    return User(entry.pw_name, entry.pw_uid, frozenset({entry.pw_gid, *named, *given}))


def _denied(user: User, config: Config) -> list[tuple[str, str]]:
    found = []
    for node in device_nodes(config):
        if not user.may(node, write=True):
            group = _group(node)
            found.append(
                (f"{node} may not be opened", f"sudo usermod -aG {group} {user.name}, then log in or restart it")
            )
    state = Path(config.outbox.folder)
    if config.mqtt.broker and config.outbox.folder and state.exists() and not user.may(state, write=True):
        found.append((f"{state} may not be written", f"sudo chown {user.name} {state}"))
    for section, key, path in named_files(config):
        if path.exists() and not user.may(path):
            found.append(
                (f"{section}.{key}: {path} may not be read", f"sudo chown root:{_group(path)} and chmod 640 it")
            )
    return found


def device_nodes(config: Config) -> list[Path]:
    """Return the device nodes that the configured sources need and that are there."""
    nodes: list[Path] = []
    source = config.camera.source
    if source.startswith("/dev/"):
        nodes.append(Path(source))
    elif source.startswith("picamera2"):
        nodes += [*Path("/dev").glob("media*"), *Path("/dev/dma_heap").glob("*"), *Path("/dev").glob("video*")]
    if config.microphone.card is not None:
        nodes += Path("/dev/snd").glob("pcm*c")
    return [node for node in nodes if node.exists()]


def _exposed(config: Config) -> list[tuple[str, str]]:
    secrets = [path for path in (config.mqtt.password_file, config.mqtt.key_file) if path and Path(path).exists()]
    return [
        (f"{path} can be read by everybody", f"sudo chmod 640 {path}")
        for path in secrets
        if Path(path).stat().st_mode & 0o004
    ]


def _loose(settings: Path) -> Sequence[tuple[str, str]]:
    """The settings are the policy: only root may change those of the service."""
    found = settings.stat()
    fix = f"sudo chown root {settings} && sudo chmod go-w {settings}"
    if found.st_mode & 0o022:
        return [(f"{settings} can be changed by others than its owner", fix)]
    if settings.is_relative_to("/etc") and found.st_uid != 0:
        return [(f"{settings} does not belong to root", fix)]
    return []


def _group(path: Path) -> str:
    gid = path.stat().st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
