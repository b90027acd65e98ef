"""Single programs of a Debian for arm64, each instruction translated by qemu-user: no root, no boot.

Debian's packages are unpacked, not installed, and pip runs outside: emulated it would take many minutes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from virtual_pi.debian import Release, cached, debian_root, installer_packages
from virtual_pi.wheels import device_wheels, pip, target, tflite_requirement

MACHINE = "aarch64"
QEMU = "qemu-aarch64-static"


@dataclass(frozen=True)
class Board:
    """A board's processor, as qemu names it and as Linux tells it in /proc/cpuinfo."""

    name: str
    cpu: str
    part: int
    features: str

    def cpuinfo(self) -> str:
        """Return what stands in /proc/cpuinfo: the TFLite runtimes choose their kernels by it, and crash on x86's."""
        return "".join(
            f"processor\t: {core}\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: 0x0\nCPU part\t: {self.part:#x}\nCPU revision\t: 3\n\n"
            for core in range(4)
        )


PI_4 = Board("Pi 4", "cortex-a72", 0xD08, "fp asimd evtstrm crc32 cpuid")
# It has the dot product of int8, for which XNNPACK has kernels of their own.
PI_5 = Board(
    "Pi 5",
    "cortex-a76",
    0xD0B,
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
)


def install(release: Release, wheel: Path, folder: Path) -> list[Path]:
    """Install mien's `wheel` into `folder`; return the folders of all Python packages, for `Emulated`.

    numpy is apt's, as on a device. On Bookworm tflite-runtime comes too: past Python 3.11 it has no wheel.
    """
    extra = [tflite_requirement()] if release.python == "3.11" else []
    wheels = device_wheels(release, MACHINE, *extra)

    def fill(site: Path) -> None:
        files = [str(each) for each in wheels.glob("*.whl") if not each.name.startswith("numpy-")]
        _unpack(release, site, *files)

    _unpack(release, folder, str(wheel))
    return [folder, cached(f"site-{release.name}", fill, wheels.name)]


def _unpack(release: Release, folder: Path, *wheels: str) -> None:
    # Ignoring requires-python: pip compares it with the Python that it runs in, in spite of --python-version.
    options = ["--no-deps", "--no-compile", "--ignore-requires-python", *target(release, MACHINE)]
    pip("install", *options, "--target", str(folder), *wheels)


class Emulated:
    """The Python of `release` on `board`, with the packages in `site`; `folder` is for what it needs and writes."""

    def __init__(self, release: Release, board: Board, site: list[Path], folder: Path) -> None:
        root = debian_root(
            "emulated",
            release,
            "--architectures=arm64",
            "--variant=extract",
            f"--include={','.join(['base-files', *installer_packages()])}",
        )
        self._root = folder / "root"
        self._root.mkdir(parents=True)
        # Not all of it: what stands in the root hides this machine's, and /tmp and the like shall be this machine's.
        for name in ("lib", "usr"):
            (self._root / name).symlink_to(root / name)
        (self._root / "proc").mkdir()
        (self._root / "proc" / "cpuinfo").write_text(board.cpuinfo())
        self._command = [QEMU, "-cpu", board.cpu, "-L", str(self._root), str(root / f"usr/bin/python{release.python}")]
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "PYTHONPATH": ":".join(map(str, site)),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Where apt's alternatives, which were not set, would point for numpy.
            "LD_LIBRARY_PATH": ":".join(f"{root}/usr/lib/{MACHINE}-linux-gnu/{each}" for each in ("blas", "lapack")),
            "LANG": "C.UTF-8",
        }

    def python(
        self, *arguments: str, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments and return what it said. Raises subprocess.TimeoutExpired."""
        return subprocess.run(
            [*self._command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**self._environment, **(environment or {})},
            check=False,
        )
