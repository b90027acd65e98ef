"""Who could change the policy: the file that holds it, and the folders on the way to it, must be root's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge.errors import PolicyError
from edge.protocol import Mode


def require_safe_policy_file(path: Path, mode: Mode) -> None:
    """Raise PolicyError if others than root could change the policy in `path`; in mode `demo` anybody may."""
    problem = "" if mode == "demo" else policy_file_problem(path)
    if problem:
        fix = f"As root: chown root:root {path} && chmod 644 {path}; keep it in a folder of root's, as /etc/mien."
        raise PolicyError(f"{problem}: in mode {mode} only root may change the policy", fix=fix)


def policy_file_problem(path: Path) -> str:
    """Return in words why others than root could change `path`, or put another file in its place; "" if they cannot.

    The folders count up to the root, both of the path as it is written and of what it leads to: whoever can rename an
    entry of a folder can swap what is in it. A sticky folder such as /tmp is fine, since there only owners can.
    """
    try:
        real = path.resolve(strict=True)
        for each in dict.fromkeys([real, *real.parents, *path.absolute().parents]):
            if problem := _problem(each, each.stat()):
                return problem
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"
    # Catches what modes do not show, such as access control lists. Root may always write.
    if os.geteuid() != 0 and os.access(real, os.W_OK):
        return f"{path} can be written by the user who runs this"
    return ""


def _problem(path: Path, status: os.stat_result) -> str:
    if status.st_uid != 0:
        return f"{path} belongs to user {status.st_uid}, not to root"
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
        return f"{path} can be written by others than its owner (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""
