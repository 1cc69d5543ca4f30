# SPDX-License-Identifier: GPL-2.0-only
"""The list of a matrix: which kernels, on which emulated machines."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import files
from lab.emulation.errors import KernelError
from lab.emulation.machine import Machine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT = Path(__file__).with_name("kernels.toml")
LONGEST_NAME = 12  # more would not fit into the head of a column
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._+/-]{{0,{LONGEST_NAME - 1}}}")
_TYPES = {
    "kernel": str,
    "name": str,
    "cpus": int,
    "memory": str,
    "kernel_parameters": str,
    "qemu_options": str,
}
_WORDS = {str: "a text in quotes", int: "a whole number"}


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

    @property
    def label(self) -> str:
        """A name for its folder and its tests: [a-z0-9_], and not a bare number."""
        label = re.sub(r"[^a-z0-9]+", "_", (self.name or self.kernel).lower()).strip("_")
        return label if re.search("[a-z]", label) else f"kernel_{label}"

    @property
    def megabytes(self) -> int:
        """Its machine's memory."""
        return int(self.memory[:-1]) * (1024 if self.memory.endswith("G") else 1)


def read(path: Path) -> tuple[ListedKernel, ...]:
    """The kernels of a list. Raises `ListError`."""
    try:
        content = tomllib.loads(files.read_regular(path, files.MEGABYTE).decode("utf-8"))
    except OSError as error:
        raise ListError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ListError(f"{path} is no text in UTF-8 (byte {error.start})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ListError(f"{path} is no TOML: {error}") from None
    if unknown := ", ".join(sorted(set(content) - {"kernel"})):
        raise ListError(f"{path}: unknown: {unknown}; a list has [[kernel]] entries and no more")
    tables = content.get("kernel", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise ListError(f"{path}: write [[kernel]], in two brackets, above each kernel")
    if not tables:
        raise ListError(f"{path} lists no kernel: a list has at least one [[kernel]] entry")
    entries = tuple(
        _entry(each, f"{path}, kernel {number}") for number, each in enumerate(tables, start=1)
    )
    _refuse_duplicates(entries, path)
    return entries


def _entry(table: dict[str, Any], where: str) -> ListedKernel:
    for key, value in table.items():
        if key not in _TYPES:
            raise ListError(f"{where}: unknown key {key!r}; known: {', '.join(_TYPES)}")
        if type(value) is not _TYPES[key]:  # a bool is an int, and no number of processors
            raise ListError(f"{where}: {key} is {value!r}, and must be {_WORDS[_TYPES[key]]}")
    if not table.get("kernel", "").strip():
        raise ListError(f'{where} names no kernel: write kernel = "debian:bookworm"')
    if "name" in table and not _NAME.fullmatch(table["name"]):
        raise ListError(
            f"{where}: the name {table['name']!r} is no head of a column: 1 to {LONGEST_NAME} "
            "letters, digits, spaces or ._+/-, and first a letter or a digit"
        )
    for key in ("kernel_parameters", "qemu_options"):
        try:
            shlex.split(table.get(key, ""))
        except ValueError as error:
            raise ListError(f"{where}: {key}: {error} in {table[key]!r}") from None
    entry = ListedKernel(**table)
    try:
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
