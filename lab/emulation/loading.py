# SPDX-License-Identifier: GPL-2.0-only
"""Modules of a kernel in the order of loading, for a machine that has no index of them."""

from __future__ import annotations

import lzma
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from lab.emulation.errors import KernelError

# What load_module() finds of a module in .modinfo (kernel/module/main.c).
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
# A soft dependency of 6.12's file systems, which has become a library since.
_SOFT = {"ext4": ("crc32c_generic",), "erofs": ("crc32c_generic",)}


class Modules:
    """Those of a kernel below `folder`, which is lib/modules/RELEASE; none without one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def ordered(self, names: Sequence[str]) -> dict[str, bytes]:
        """These modules and what they need, by name, in the order of loading.

        What the kernel has built in, or does not have at all, is left out: who needs it tells
        when it is missing. Raises KernelError for a module that cannot be read.
        """
        found: dict[str, bytes] = {}
        for name in names:
            self._add(plain(name), found)
        return found

    def _add(self, name: str, found: dict[str, bytes]) -> None:
        path = self._files.get(name)
        if path is None or name in found:
            return
        data = _read(path)
        depends = _DEPENDS.search(data)
        needed = depends[1].decode("ascii", "replace").split(",") if depends else []
        for each in (*filter(None, needed), *_SOFT.get(name, ())):
            if each not in found:
                self._add(plain(each), found)
        found[name] = data

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        paths = self._folder.rglob("*.ko*") if self._folder else ()
        return {plain(path.name.partition(".ko")[0]): path for path in paths}


def plain(name: str) -> str:
    """A module's name as the kernel has it: kvm_hv of kvm-hv.ko."""
    return name.replace("-", "_")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        if path.suffix == ".xz":
            return lzma.decompress(data)
    except (OSError, lzma.LZMAError) as error:
        raise KernelError(f"the module {path} cannot be read: {error}") from error
    if path.suffix != ".ko":
        raise KernelError(
            f"the module {path} is packed in a way that this program cannot read; unpack it"
        )
    return data
