# SPDX-License-Identifier: GPL-2.0-only
"""The runs of a matrix: a kernel is found, then the suites run on it in an emulated host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.campaign import side_by_side
from lab.matrix.kernel_list import ListedKernel


@dataclass
class KernelTask(side_by_side.Task):
    """A kernel's run; `options` go to `emulate`."""

    entry: ListedKernel = field(default_factory=lambda: ListedKernel(""))
    options: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The kernel as the list names it."""
        return self.entry.kernel

    @property
    def preparing(self) -> Sequence[str]:
        """`find KERNEL [ARCH]`."""
        return "find", _spec(self.entry), *([self.entry.arch] * bool(self.entry.arch))

    @property
    def testing(self) -> Sequence[str]:
        """`emulate ...`."""
        entry = self.entry
        return [
            *("emulate", f"--kernel={_spec(entry)}", f"--output={self.folder}"),
            *([f"--arch={entry.arch}"] * bool(entry.arch)),
            *(f"--cpus={entry.cpus}", f"--memory={entry.memory}"),
            *([f"--kernel-parameters={entry.kernel_parameters}"] * bool(entry.kernel_parameters)),
            *([f"--qemu-options={entry.qemu_options}"] * bool(entry.qemu_options)),
            *self.options,
        ]


def _spec(entry: ListedKernel) -> str:
    """The kernel as a process in another folder is told it."""
    path = Path(entry.kernel).expanduser()
    return str(path.absolute()) if "/" in entry.kernel and path.exists() else entry.kernel
