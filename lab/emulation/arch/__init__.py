# SPDX-License-Identifier: GPL-2.0-only
"""Architectures of emulated hosts: a module each says what QEMU, Debian and the kernel call it.

A new one is a sibling of x86_64.py, named as `uname -m` names it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import platform
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
