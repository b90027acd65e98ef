"""The virtual Pi's card: a whole Debian for arm64, installed by qemu-user, and put into an image without mounting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virtual_pi.debian import Release, cached, debian_root, installer_packages, with_downloads

SIZE = "4G"
"""Of the image, which is sparse."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
"""Of qemu-user-static: by which the kernel knows programs for arm64."""

PACKAGES = "systemd,systemd-sysv,dbus,udev,kmod,python3,alsa-utils,v4l-utils,initramfs-tools,linux-image-arm64"
INITRD = r"virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n"
NETWORK = r"[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
UNIT = r"""[Unit]\nAfter=network.target\n[Service]\nType=simple\nTimeoutStartSec=infinity\n
ExecStartPre=modprobe 9pnet_virtio\n
ExecStartPre=mount -m -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro,cache=loose payload /mnt/payload\n
ExecStartPre=mount -m -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro,cache=loose wheels /mnt/wheels\n
ExecStartPre=mount -m -t 9p -o trans=virtio,version=9p2000.L,msize=512000 results /mnt/results\n
ExecStart=/bin/bash /mnt/payload/guest.sh\n""".replace("\n", "")


def boot_files(release: Release) -> tuple[Path, Path, Path]:
    """Return the paths of kernel, initial RAM disk and card, made if need be. Raises subprocess.CalledProcessError."""
    with arm64_programs():
        root = debian_root("virtual", release, *_options())
    kernel, initrd = (next(root.glob(f"boot/{name}-*")) for name in ("vmlinuz", "initrd.img"))

    def fill(folder: Path) -> None:
        command = ["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(folder / "card.img"), SIZE]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    return kernel, initrd, cached(f"card-{release.name}", fill, root.name) / "card.img"


def _options() -> list[str]:
    write = "printf '{}' >\"$1/{}\""
    return [
        "--architectures=arm64",
        "--variant=apt",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=force-confold",  # initramfs-tools finds its settings made
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")),
        f"--include={PACKAGES}",
        '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
        f"--essential-hook={write.format('MODULES=list', 'etc/initramfs-tools/conf.d/virtual-pi')}",
        f"--essential-hook={write.format(INITRD, 'etc/initramfs-tools/modules')}",
        # Made once, for the kernel, and not again for each package that would like to be in it.
        f"--essential-hook={write.format('update_initramfs=no', 'etc/initramfs-tools/update-initramfs.conf')}",
        f"--customize-hook={write.format(NETWORK, 'etc/systemd/network/10-virtual.network')}",
        f"--customize-hook={write.format(UNIT, 'etc/systemd/system/virtual-pi.service')}",
        '--customize-hook=ln -s ../virtual-pi.service "$1/etc/systemd/system/multi-user.target.wants/"',
        '--customize-hook=chroot "$1" systemctl -q enable systemd-networkd',
        *with_downloads(installer_packages()),
    ]


@contextmanager
def arm64_programs() -> Iterator[None]:
    """Let the kernel run programs for arm64, unless it does already; afterwards it is as it was. Needs root."""
    entry = BINFMT / "qemu-aarch64"
    mounted = (BINFMT / "register").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    known = entry.exists()
    if not known:
        (BINFMT / "register").write_text(RULE.read_text())
    try:
        yield
    finally:
        if not known:
            entry.write_text("-1")
        if not mounted:
            subprocess.run(["umount", str(BINFMT)], check=True)
