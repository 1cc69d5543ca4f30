# SPDX-License-Identifier: GPL-2.0-only
"""Architectures of emulated hosts: a module each says what QEMU, Debian and the kernel call it.

A new one is a sibling of x86_64.py, named as `uname -m` names it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.emulation.errors import EmulationError


@dataclass(frozen=True)
class Header:
    """What an image says: its release, and of its build what /proc/version says, if it does.

    `size` is that of the whole image in bytes, as the header tells it; 0 where it does not.
    """

    release: bytes
    banner: str = ""
    size: int = 0


def by_banner(data: bytes) -> Header:
    """What an image whose header is silent says by its kernel's banner (init/version-timestamp.c).

    An image that is packed has none that can be read.
    """
    found = re.search(rb"Linux version ((\S+) [^\n\0]*)", data)
    return Header(found[2], found[1].decode("ascii", "replace")) if found else Header(b"")


@dataclass(frozen=True)
class Mode:
    """A way in which a board, or the KVM on it, works.

    parameters  words for the kernel's command line
    machine     words for QEMU instead of the board's, where there are some
    oldest_qemu the oldest QEMU in which it works
    """

    parameters: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    oldest_qemu: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Board:
    """How a machine of this architecture boots on a host of another: no program of the host runs.

    debian         Debian's name of the architecture
    kernels        what the names of Debian's kernels end with
    image_file     how such a kernel's image begins in /boot
    triple         of compilers, and of the folders of libraries
    compiler       words for clang besides the triple
    machine        words for QEMU: the board
    console        the device of the first serial line
    buses          the buses that take a device each; none where QEMU finds one by itself
    largest_initrd bytes that the board's firmware can take; 0 where memory is the limit
    oldest_clock   the oldest QEMU that counts this architecture's instructions
    modes          other ways in which it works, by name
    """

    debian: str
    kernels: str
    image_file: str
    triple: str
    compiler: tuple[str, ...]
    machine: tuple[str, ...]
    console: str
    buses: tuple[str, ...]
    largest_initrd: int
    oldest_clock: tuple[int, int]
    modes: Mapping[str, Mode]


@dataclass(frozen=True)
class EmulatedArchitecture:
    """One architecture of emulated hosts.

    machine     its name, as in `uname -m`
    qemu        QEMU's program, and `qemu_package` Debian's package with it
    cpu         QEMU's -cpu; `cpu_realtime` adds what a kernel with PREEMPT_RT needs
    parameters  words for the kernel's command line
    image       what `make` builds for booting, a path in the kernel's tree, and `image_name`
    kvm         the folder of its KVM in the tree
    modules     KVM's, in the order of loading; none where it is always part of the kernel
    companions  modules that these need and modprobe would load
    options     what a kernel must be configured with, and what people call each
    unbuilt     options to be switched off where KVM is built for the emulated processor alone
    no_kvm      the sentence for a kernel without /dev/kvm
    refusals    how its modules say that they do not take a processor, a regular expression
    trace_clock the trace clock that is the counter of a sweep's times
    timer_probe a kprobe at the timer's interrupt: function, and `ip` and `cs` of what it
                interrupted; this and the clock are empty where no sweep can be made
    header      reads an image's header; None for what is no image of this architecture
    board       how it boots on a host of another; None where that was never done
    counter     the word that tells a kernel how many kHz the processor's counter of times has
    names       what else people call it
    beside      folders of the tree from which its KVM includes headers by their paths
    """

    machine: str
    qemu: str
    qemu_package: str
    cpu: str
    cpu_realtime: str
    parameters: tuple[str, ...]
    image: str
    kvm: str
    modules: tuple[str, ...]
    companions: tuple[str, ...]
    options: Mapping[str, str]
    unbuilt: tuple[str, ...]
    no_kvm: str
    refusals: str
    trace_clock: str
    timer_probe: str
    header: Callable[[bytes], Header | None]
    board: Board | None = None
    counter: str = ""
    names: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return next(iter(self.names), self.machine)

    @property
    def tree_name(self) -> str:
        """What the kernel's own build calls it: ARCH= of make, its folder below arch/."""
        return self.kvm.split("/")[1]

    @property
    def image_name(self) -> str:
        """The image's file name."""
        return self.image.rpartition("/")[2]


@functools.cache
def known() -> Mapping[str, EmulatedArchitecture]:
    """Every architecture with a module here, by its machine."""
    names = [each.name for each in pkgutil.iter_modules(__path__)]
    found = (importlib.import_module(f"{__name__}.{name}").ARCHITECTURE for name in names)
    return {each.machine: each for each in found}


@functools.cache
def here() -> EmulatedArchitecture:
    """This host's, whose programs run in the machine. Raises `EmulationError`."""
    machine = platform.machine()
    if machine not in known():
        raise EmulationError(
            f"no host of {machine} can be emulated yet; known are {', '.join(known())}"
        )
    return known()[machine]


@dataclass(frozen=True)
class Foreign:
    """An architecture other than this host's, in one of its modes, or in none."""

    architecture: EmulatedArchitecture
    board: Board
    mode: str

    @property
    def way(self) -> Mode:
        """The mode's words."""
        return self.board.modes.get(self.mode, Mode())

    @property
    def machine(self) -> tuple[str, ...]:
        """Words for QEMU: the board."""
        return self.way.machine or self.board.machine

    @property
    def name(self) -> str:
        """What people call it, as `named` reads it."""
        name = self.architecture.name
        return f"{name}/{self.mode}" if self.mode else name


def named(word: str) -> Foreign | None:
    """The architecture of ARCH or ARCH/MODE; None for this host's own.

    Raises `EmulationError` for one that is not known, and for one that only boots at home.
    """
    if "/" not in word and any(word in (each.machine, each.name) for each in _own()):
        return None
    if any(word.partition("/")[0] in (each.machine, each.name) for each in _own()):
        raise EmulationError(f"this host is itself one of {word.partition('/')[0]}: {_ways()}")
    return with_board(word)


def with_board(word: str) -> Foreign:
    """The architecture of ARCH or ARCH/MODE, this host's own too. Raises `EmulationError`."""
    name, _, mode = word.partition("/")
    for each in known().values():
        known_as = (each.machine, *each.names)
        if each.board and name in known_as and (not mode or mode in each.board.modes):
            return Foreign(each, each.board, mode)
    raise EmulationError(f"there is no {word} here: {_ways()}")


def of(foreign: Foreign | None) -> EmulatedArchitecture:
    """A foreign one, or this host's. Raises `EmulationError` where none of it is known."""
    return foreign.architecture if foreign else here()


def choices(*, at_home: bool = False) -> list[str]:
    """What `named` takes beside this host's own; `at_home`: what `with_board` takes of it, too."""
    found: list[str] = []
    for each in known().values():
        if each.board and (at_home or each.machine != platform.machine()):
            found += [each.name, *(f"{each.name}/{mode}" for mode in each.board.modes)]
    return found


def _own() -> list[EmulatedArchitecture]:
    return [each for each in known().values() if each.machine == platform.machine()]


def _ways() -> str:
    return f"--arch takes {', '.join(choices())}"
