# SPDX-License-Identifier: GPL-2.0-only
"""The other guests of a sequence on x86-64: programs of each mode, and a guest of the guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from guest_blobs import memory_map as at
from guest_blobs.x86_64 import memory_map as here
from harness.kvm.abi import LackingError
from harness.kvm.arch.x86_64 import devices, hypervisors, ioctls, kept
from harness.kvm.exits import Io
from harness.kvm.guest import Guest
from harness.sequences.arch.x86_64 import smis
from harness.sequences.twins import Others, Twin, TwinProgram
from harness.ways import BYTE, SIGNAL

_MODES = ("real", "protected", "long")
_RAM, _OTHER_RAM = 0x20000, 0x28000  # no program lies there
_INSIDE, _PAGE_END = at.MMIO_BASE + 0x2200, at.MMIO_BASE + 0x1000
_STRING = 37
_ELSEWHERE = 0x9000  # within 64 KiB
_MSR_INDEX = 5  # one of the program msr
_PRIORITIES = {5: 9, 6: 3}  # of task_priority: high and low
# Data words of nested_svm: its guest's guest leaves each turn, reads an MSR, a port, a device.
_TURNS, _READ_MSR, _INPUT, _DEVICE = 4, 6, 10, 11
_KERNEL_GS_BASE = 0xC0000102
# Instructions of mmio_forms by number. Those that lock lie within a line of the host's cache.
_FORMS, _LOCKING = (*range(14), *range(20, 28)), (22, 25)
# A saved state, and the count, are of the SMIs that are sent to the one and not to the other.
_OF_SMIS = (
    (here.SMI_HANDLER, 0x40000),
    (at.data_word(smis.COUNT), at.data_word(smis.COUNT + 1)),
)


def _hypercalls(guest: Guest) -> Mapping[int, int]:
    if not guest.architecture.enable_hypercall_exits(guest.vm):
        raise LackingError("KVM_CAP_EXIT_HYPERCALL", 0)
    return guest.architecture.hypercall_program()


def _xen_calls(guest: Guest) -> Mapping[int, int]:
    if not hypervisors.intercept_xen_hypercalls(guest.vm):
        raise LackingError("KVM_CAP_XEN_HVM", 0)
    return hypervisors.xen_call()


def _synic(guest: Guest) -> Mapping[int, int]:
    if not hypervisors.offer_hyperv(guest.vm, guest.vcpu):
        raise LackingError("KVM_CAP_HYPERV_SYNIC2", 0)
    return {}


def _hyperv_calls(guest: Guest) -> Mapping[int, int]:
    _synic(guest)
    return hypervisors.hyperv_call(guest.mode, hypervisors.SIGNAL_EVENT, 1)


def _of_every_mode() -> Iterator[tuple[str, TwinProgram]]:
    for mode in _MODES:
        string = {0: _STRING, 1: _RAM, 2: _OTHER_RAM}
        yield "port_io", _plain("port_io", mode, 10)
        yield "mmio", _plain("mmio", mode, 10)
        yield "mmio_cross", _plain("mmio_cross", mode, 12)
        yield "msr", _plain("msr", mode, 8, prepare=lambda guest: devices.filter_msr(guest.vm))
        yield "string_io", _plain("string_io", mode, 2 * _STRING + 1, string)
        yield "halt", _plain("halt", mode, 5, irqchips=("none",))
        for width in (1, 2, 4):
            data = {3: width, 4: devices.PORT_OUT, 6: 0x8765432112345678}
            yield f"port_widths {width}", _plain("port_widths", mode, 6, data)
        # The program counts in the word that the SMI's does.
        yield "hypercall", TwinProgram("hypercall", mode, 5, prepare=_hypercalls, probed=True)
        xen = TwinProgram("hypercall", mode, 5, prepare=_xen_calls, probed=True)
        yield "hypercall of Xen's", replace(xen, claim="completion.xen")


def _of_hyperv() -> Iterator[tuple[str, TwinProgram]]:
    """What is set of its MSRs is of this VM."""
    of_hyperv: dict[str, Any] = {"probed": True, "irqchips": ("split", "full"), "moved": False}
    for mode in ("protected", "long"):
        yield (
            "hypercall of Hyper-V's",
            TwinProgram(
                *("hypercall", mode, 5),
                prepare=_hyperv_calls,
                claim="completion.hyperv",
                **of_hyperv,
            ),
        )
        for said, index in {
            "control": hypervisors.SYNIC_CONTROL,
            "event page": hypervisors.SYNIC_EVENT_PAGE,
            "message page": hypervisors.SYNIC_MESSAGE_PAGE,
        }.items():
            yield (
                f"SynIC's {said}",
                TwinProgram(
                    *("msr", mode, 5, {_MSR_INDEX: index}),
                    prepare=_synic,
                    claim="completion.hyperv",
                    **of_hyperv,
                ),
            )


def _plain(
    blob: str,
    mode: str,
    exits: int,
    data: Mapping[int, int] | None = None,
    *,
    prepare: Callable[[Guest], Mapping[int, int]] = lambda guest: {},
    irqchips: tuple[str, ...] = (),
) -> TwinProgram:
    """One to which an SMI is nothing."""
    return TwinProgram(
        blob, mode, exits, data or {}, prepare, irqchips=irqchips, unsettled=_OF_SMIS
    )


def _forms() -> Iterator[tuple[str, TwinProgram]]:
    for mode in ("protected", "long"):
        for number in _FORMS:
            place = _INSIDE if number in _LOCKING else _PAGE_END - 3
            for source in {_RAM, _INSIDE + 0x400} if number in (8, 12, 26) else {_RAM}:
                data = {3: number, 4: place, 5: source, 6: 0x0716253443526170, 8: 3}
                data[7] = 0x1F2E3D4C5B6A7988
                said = f"mmio_forms {number}{' from a device' * (source != _RAM)}"
                yield said, TwinProgram("mmio_forms", mode, 8, data, claim="completion.fragments")


def _others() -> Iterator[tuple[str, TwinProgram]]:
    yield (
        "task_priority",
        TwinProgram(
            *("task_priority", "long", 4, _PRIORITIES),
            probed=True,
            irqchips=("none",),
            claim="completion.task_priority",
        ),
    )
    yield "lowered", _plain("lowered", "long", 4, {5: 3})
    for store in (0, 1):
        for mode in ("protected", "long"):
            data = {0: _RAM, 1: 4, 2: store, 5: 1}
            yield f"pages {'loaded' if store else 'stored'}", _plain("pages", mode, 6, data)
    yield from _nested()


def _nested() -> Iterator[tuple[str, TwinProgram]]:
    """A guest that leaves by its ports and devices, and its guest's guest too."""
    by_port, by_device = {_INPUT: devices.PORT_STRING_IN}, {_DEVICE: at.MMIO_BASE}

    def program(**given: Any) -> TwinProgram:
        return TwinProgram("nested_svm", "long", 6, claim="states.nested", rewritten=False, **given)

    for said, words in {
        "by port": by_port,
        "by device": by_device,
        "by both": {**by_port, **by_device},
    }.items():
        second_level = {_READ_MSR: _KERNEL_GS_BASE, **words}
        yield f"nested_svm {said}", program(data=second_level)
        yield f"nested_svm {said} in turns", program(data={**second_level, _TURNS: 1})
    # What the first level intercepts ends the second one: the program then tells, and begins anew.
    yield (
        "nested_svm to an MSR",
        program(data=by_device, later={3: {_READ_MSR: _KERNEL_GS_BASE}}, prepare=_intercept_msrs),
    )
    yield (
        "nested_svm to a port",
        program(data=by_device, later={3: by_port}, prepare=_intercept_ports),
    )


def _intercept_msrs(guest: Guest) -> Mapping[int, int]:
    guest.ram.write(here.MSR_BITMAP, b"\xff" * 0x2000)
    return {}


def _intercept_ports(guest: Guest) -> Mapping[int, int]:
    guest.ram.write(here.PORT_BITMAP, b"\xff" * 0x3000)
    return {}


_PROGRAMS: Mapping[str, TwinProgram] = {
    f"{said}, {program.mode} mode": program
    for said, program in (*_of_every_mode(), *_of_hyperv(), *_forms(), *_others())
}


def _require_smis(twin: Twin) -> None:
    """Of the SMIs that were sent each was taken once at most; the second of two may be the first.

    Raises `Violation`.
    """
    if not twin.sent:
        return
    taken = twin.guest.data(smis.COUNT) + int(ioctls.get_events(twin.guest.vcpu).smi.pending)
    if not 1 <= taken <= twin.sent:
        raise twin.broken(
            f"of {twin.sent} SMIs the guest must have taken 1 to {twin.sent}, or have one waiting, "
            f"but there are {taken}",
            "states.events_survive",
        )


def _require_stays_elsewhere(twin: Twin) -> None:
    """The end of an OUT moves no program counter that userspace has set since (45def77ebf79).

    The guest is good for nothing afterwards. Raises `Violation`.
    """
    last, vcpu = twin.seen[-1], twin.guest.vcpu
    if not (isinstance(last, Io) and last.is_write):
        return
    regs = ioctls.get_regs(vcpu)
    regs.rip = _ELSEWHERE
    ioctls.set_regs(vcpu, regs)
    result, found = twin.guest.run_immediate(), int(ioctls.get_regs(vcpu).rip)
    if not result.gave_eintr or found != _ELSEWHERE:
        raise twin.broken(
            f"after an OUT and RIP set to {_ELSEWHERE:#x} an immediate run must leave it there, "
            f"but it is {found:#x}, and {result.describe()}",
            "completion.pio",
        )


def _require_afterwards(twin: Twin) -> None:
    _require_smis(twin)
    _require_stays_elsewhere(twin)


def _smi(twin: Twin) -> None:
    """Its handler counts, and the program knows nothing of it."""
    if twin.program.unsettled and smis.send(twin.guest):
        twin.sent += 1


def _rewrite(twin: Twin) -> None:
    if twin.program.rewritten and twin.settle():
        kept.rewrite(twin.guest.vcpu)


def _smi_and_leave(twin: Twin) -> None:
    _smi(twin)
    twin.leave(BYTE)
    twin.leave(SIGNAL)


OTHERS = Others(_PROGRAMS, (_smi, _rewrite, _smi_and_leave), smis.serve, _require_afterwards)
