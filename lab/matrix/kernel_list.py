# SPDX-License-Identifier: GPL-2.0-only
"""The list of a matrix: which kernels, on which emulated machines."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import files
from harness.shapes import ShapeError, from_toml, shaped
from lab.emulation import arch
from lab.emulation.errors import KernelError
from lab.emulation.machine import Machine

DEFAULT = Path(__file__).with_name("kernels.toml")
LONGEST_NAME = 12  # more would not fit into the head of a column
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._+/-]{{0,{LONGEST_NAME - 1}}}")


class ListError(ValueError):
    """The list cannot be used; the text is a sentence without its full stop."""


@dataclass(frozen=True)
class ListedKernel:
    """A kernel of the list. The fields are those of kernels.toml; `name` may be empty."""

    kernel: str
    name: str = ""
    cpus: int = Machine.cpus
    memory: str = Machine.memory
    kernel_parameters: str = ""
    qemu_options: str = ""
    arch: str = ""

    @property
    def label(self) -> str:
        """A name for its folder and its tests: [a-z0-9_], and not a bare number."""
        label = re.sub(
            r"[^a-z0-9]+", "_", (self.name or f"{self.arch} {self.kernel}").lower()
        ).strip("_")
        return label if re.search("[a-z]", label) else f"kernel_{label}"

    @property
    def megabytes(self) -> int:
        """Its machine's memory."""
        return int(self.memory[:-1]) * (1024 if self.memory.endswith("G") else 1)


@dataclass(frozen=True)
class _List:
    kernel: list[dict[str, Any]] = field(default_factory=list)


def read(path: Path) -> tuple[ListedKernel, ...]:
    """The kernels of a list. Raises `ListError`."""
    try:
        tables = from_toml(files.read_regular(path, files.MEGABYTE), _List).kernel
    except OSError as error:
        raise ListError(f"{path} cannot be read: {error.strerror}") from None
    except ShapeError as error:
        way = "a list has [[kernel]], in two brackets, above each kernel, and no more"
        raise ListError(f"{path}: {error}; {way}") from None
    if not tables:
        raise ListError(f"{path} lists no kernel: a list has at least one [[kernel]] entry")
    entries = tuple(
        _entry(each, f"{path}, kernel {number}") for number, each in enumerate(tables, start=1)
    )
    _refuse_duplicates(entries, path)
    return entries


def _entry(table: dict[str, Any], where: str) -> ListedKernel:
    try:
        entry = shaped(table, ListedKernel)
    except ShapeError as error:
        raise ListError(f"{where}: {error}") from None
    if not entry.kernel.strip():
        raise ListError(f'{where} names no kernel: write kernel = "debian:bookworm"')
    if "name" in table and not _NAME.fullmatch(entry.name):
        raise ListError(
            f"{where}: the name {entry.name!r} is no head of a column: 1 to {LONGEST_NAME} "
            "letters, digits, spaces or ._+/-, and first a letter or a digit"
        )
    for key in ("kernel_parameters", "qemu_options"):
        try:
            shlex.split(getattr(entry, key))
        except ValueError as error:
            raise ListError(f"{where}: {key}: {error} in {getattr(entry, key)!r}") from None
    try:
        if entry.arch:
            arch.named(entry.arch)
        Machine(cpus=entry.cpus, memory=entry.memory).check()
    except KernelError as error:
        raise ListError(f"{where}: {error}") from None
    return entry


def _refuse_duplicates(entries: tuple[ListedKernel, ...], path: Path) -> None:
    numbers: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        first = numbers.setdefault(entry.label, number)
        if first != number:
            raise ListError(
                f"{path}: kernels {first} and {number} have the same name, {entry.label}: give one "
                "of them another by name ="
            )
