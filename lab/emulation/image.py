# SPDX-License-Identifier: GPL-2.0-only
"""What the file of a kernel says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness import files
from lab.emulation.errors import KernelError

_LARGEST = 1024 * files.MEGABYTE  # with an initial file system in it, too
# The x86 boot protocol (Documentation/arch/x86/boot.rst); offsets in the file.
_X86_SETUP_SECTORS = 0x1F1  # u8, 512 bytes each; 0 means 4; the boot sector comes on top
_X86_SIZE = 0x1F4  # u32, of what follows the set-up, in units of 16 bytes
_X86_MAGIC = slice(0x202, 0x206)
_X86_VERSION = 0x20E  # u16, where the release stands, less 0x200
# Documentation/arch/arm64/booting.rst
_ARM64_MAGIC = slice(0x38, 0x3C)


@dataclass(frozen=True)
class Image:
    """A kernel's release, such as 6.1.0-44-amd64, and its machine as `uname -m` names it.

    `banner` is what it says of its build, as in /proc/version; empty where the header has none.
    """

    release: str
    machine: str
    banner: str = ""


def read(path: Path) -> Image:
    """Reads the header of a vmlinuz (bzImage or Image).

    Raises KernelError for a file that may not be read, is no such image, or is cut off.
    """
    try:
        data = files.read_regular(path, _LARGEST)
    except OSError as error:
        raise KernelError(_unreadable(path, error)) from error
    if data[_X86_MAGIC] == b"HdrS":
        sectors = data[_X86_SETUP_SECTORS] or 4
        size = (sectors + 1) * 512 + 16 * int.from_bytes(data[_X86_SIZE : _X86_SIZE + 4], "little")
        if len(data) < size:
            raise KernelError(
                f"{path} is cut off: it has {len(data)} bytes, and its header says {size}; copy or "
                "build it again"
            )
        start = 0x200 + int.from_bytes(data[_X86_VERSION : _X86_VERSION + 2], "little")
        text = data[start : start + 256]
        banner = text.split(b"\0")[0].decode("ascii", "replace")
        return Image(_release(path, text), "x86_64", banner)
    if data[_ARM64_MAGIC] == b"ARM\x64":
        found = re.search(rb"Linux version (\S+) ", data)
        return Image(_release(path, found.group(1) if found else b""), "aarch64")
    if data.startswith(b"\x7fELF"):
        raise KernelError(
            f"{path} is an ELF file, perhaps a vmlinux, which QEMU does not boot; give the image "
            "made from it (vmlinuz, or arch/x86/boot/bzImage of the build tree)"
        )
    raise KernelError(f"{path} is not a kernel's image (bzImage or arm64 Image); give a vmlinuz")


def _release(path: Path, text: bytes) -> str:
    found = re.match(rb"[0-9][A-Za-z0-9._+~-]*", text)
    if not found:
        raise KernelError(f"{path} does not say which release it is; give another vmlinuz")
    return found.group().decode()


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return (
            f"{path} may not be read by this user (some distributions keep it for root); run as "
            f"root, or type: sudo chmod a+r {path}"
        )
    return f"{path} cannot be read: {error.strerror}; give the path of a vmlinuz or a build tree"
