"""What a device installs by pip: the wheel of this checkout, and those of all it needs, for the device's Python."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from virtual_pi.debian import ROOT, Release, cached

LIBCS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
"""Of what Bookworm's glibc, 2.36, can load, all that the packages are built for."""
SDISTS = ("python-speech-features",)
"""Have no wheel on PyPI; pure Python, so that any Python can make one."""


def device_wheels(release: Release, machine: str, *extra: str) -> Path:
    """Return a folder with the wheels of all that mien needs to be built and run and for its sign, and of `extra`."""
    wanted = [*_requirements(), *extra]

    def fill(folder: Path) -> None:
        pure = [each for each in wanted if each.startswith(SDISTS)]
        other = [each for each in wanted if each not in pure]
        pip("download", "-d", str(folder), *target(release, machine), release.numpy, *other)
        pip("wheel", "--no-deps", "-w", str(folder), *pure)

    return cached(f"wheels-{machine}-{release.name}", fill, release.python, release.numpy, *wanted)


def mien_wheel(folder: Path) -> Path:
    """Return the wheel of this checkout, built in a copy of it in `folder`."""
    source = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("edge", "cloud", "models_tflite"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-deps", "-w", str(folder), str(source))
    return next(folder.glob("mien-*.whl"))


def tflite_requirement() -> str:
    """Return how setup.cfg pins the second TFLite runtime, without the marker that pip applies to its own Python."""
    lines = _setup()["options.extras_require"]["tflite"].splitlines()
    return next(line for line in lines if line.startswith("tflite-runtime")).partition(";")[0]


def target(release: Release, machine: str) -> list[str]:
    """Return pip's options for another Python and machine than its own."""
    platforms = [f"--platform={libc}_{machine}" for libc in LIBCS]
    return ["--only-binary=:all:", f"--python-version={release.python}", *platforms]


def pip(*arguments: str) -> None:
    """Run this environment's pip. Raises subprocess.CalledProcessError; pip's own words are on stderr."""
    command: Sequence[str] = [sys.executable, "-m", "pip", *arguments, "-q", "--disable-pip-version-check"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _requirements() -> list[str]:
    setup = _setup()
    lines = (setup["options"]["install_requires"] + setup["options.extras_require"]["notice"]).splitlines()
    build: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [line for line in lines if line and not line.startswith("#")] + build


def _setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    return setup
