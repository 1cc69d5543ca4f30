# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel was configured with, and whether it can be an emulated host."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path

from harness import files
from lab.emulation import arch
from lab.emulation.errors import KernelError

_LARGEST = 16 * files.MEGABYTE
_IN_MEMORY = ("BLK_DEV_INITRD", "TMPFS", "DEVTMPFS", "VIRTIO_CONSOLE")


def read(path: Path) -> dict[str, str]:
    """The options of a kernel's .config that are set, without CONFIG_; `path` may be gzipped.

    Raises KernelError for a file that cannot be read.
    """
    try:
        data = files.read_regular(path, _LARGEST)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(data)) as unpacked:
                data = unpacked.read(_LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise KernelError(f"the kernel's configuration {path} cannot be read: {why}") from error
    text = data.decode("utf-8", "replace")
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.M))


def missing(
    options: dict[str, str], of: arch.EmulatedArchitecture, *, in_memory: bool = False
) -> list[str]:
    """What an emulated host needs and this kernel lacks, each as a person would write it.

    It is KVM for the processor that QEMU emulates, and 9p over virtio's PCI devices, by which it
    reads this host's root. virtiofs would do as well, but the virtiofsd of
    Debian 12 is too old for virtme-ng. With `in_memory` its root is there, and what its job says
    comes through a console of virtio's.
    """
    on = {name for name, value in options.items() if value in ("y", "m")}
    lacking = [f"CONFIG_{name}" for name in of.options if name not in on]
    plan9 = ("NET_9P", "NET_9P_VIRTIO", "9P_FS", "VIRTIO_PCI")
    more = _IN_MEMORY if in_memory else ()
    return lacking + [f"CONFIG_{name}" for name in (*plan9, *more) if name not in on]
