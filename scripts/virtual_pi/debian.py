"""Debian as a device has it: its releases, and roots made by mmdebstrap and kept in .test/."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".test"
MIRROR = os.environ.get("MIEN_DEBIAN_MIRROR", "http://deb.debian.org/debian")


@dataclass(frozen=True)
class Release:
    """A release of Debian, and so of Raspberry Pi OS, with what its apt brings."""

    name: str
    python: str
    numpy: str
    """As a constraint for pip: what else is installed has to get on with apt's numpy."""


RELEASES = {
    each.name: each for each in (Release("bookworm", "3.11", "numpy<1.25"), Release("trixie", "3.13", "numpy<2.3"))
}


def installer_packages() -> list[str]:
    """Return the Debian packages that provisioning/install wants."""
    software = (ROOT / "provisioning" / "lib" / "software.sh").read_text()
    packages = re.search(r"^PACKAGES=\((.*)\)", software, re.MULTILINE)
    assert packages is not None, "provisioning/lib/software.sh has no line PACKAGES=(...)"
    return packages[1].split()


def with_downloads(packages: list[str]) -> list[str]:
    """Return mmdebstrap's options to put packages into the new Debian's apt cache, where an installer finds them."""
    download = 'chroot "$1" apt-get install -y -qq --no-install-recommends --download-only'
    keep = "--skip=cleanup/apt,cleanup/reproducible"  # the lists and the downloads
    return [keep, f"--customize-hook={download} {' '.join(packages)}"]


def debian_root(name: str, release: Release, *options: str) -> Path:
    """Return the folder of a Debian made with these options of mmdebstrap, for `name`; nobody may change what is there.

    Raises RuntimeError if it cannot be made; what mmdebstrap says of it is on stderr.
    """

    def fill(folder: Path) -> None:
        command = ["mmdebstrap", *options, release.name, str(folder), MIRROR]
        if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode != 0:
            raise RuntimeError(f"no {release.name} from {MIRROR}; MIEN_DEBIAN_MIRROR names another")

    return cached(f"{name}-{release.name}", fill, *options)


def cached(name: str, fill: Callable[[Path], None], *wish: str) -> Path:
    """Return .test/`name`-..., made by `fill` if it is not there from such a wish before; that of another wish goes."""
    digest = hashlib.sha256("\0".join((name, *wish)).encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    if not folder.exists():
        partial = folder.with_suffix(".part")
        for old in (partial, *CACHE.glob(f"{name}-{'[0-9a-f]' * 12}")):
            shutil.rmtree(old, ignore_errors=True)
        partial.mkdir(parents=True)
        fill(partial)
        partial.rename(folder)
    return folder
