# SPDX-License-Identifier: GPL-2.0-only
"""What the file of a kernel says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness import files
from lab.emulation import arch
from lab.emulation.errors import KernelError

_LARGEST = 1024 * files.MEGABYTE  # with an initial file system in it, too


@dataclass(frozen=True)
class Image:
    """A kernel's release, such as 6.1.0-44-amd64, and its machine as `uname -m` names it.

    `banner` is what it says of its build, as in /proc/version; empty where the header has none.
    """

    release: str
    machine: str
    banner: str = ""


def read(path: Path) -> Image:
    """Reads the header of a vmlinuz, of whichever architecture is known.

    Raises KernelError for a file that may not be read, is no such image, or is cut off.
    """
    try:
        data = files.read_regular(path, _LARGEST)
    except OSError as error:
        raise KernelError(_unreadable(path, error)) from error
    for machine, of in arch.known().items():
        header = of.header(data)
        if header is None:
            continue
        if len(data) < header.size:
            raise KernelError(
                f"{path} is cut off: it has {len(data)} bytes, and its header says {header.size}; "
                "copy or build it again"
            )
        return Image(_release(path, header.release), machine, header.banner)
    names = " or ".join(f"{of.image_name} of {machine}" for machine, of in arch.known().items())
    if data.startswith(b"\x7fELF"):
        raise KernelError(
            f"{path} is an ELF file, perhaps a vmlinux, which QEMU does not boot; give the image "
            "made from it (vmlinuz, or what the build tree has below arch/*/boot)"
        )
    raise KernelError(f"{path} is not a kernel's image ({names}); give a vmlinuz")


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
