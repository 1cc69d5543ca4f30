# SPDX-License-Identifier: GPL-2.0-only
"""Exits, decoded from a kvm_run that the test fills in as the kernel would."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from harness.kvm import exits
from harness.kvm.abi import constant
from harness.kvm.guest import Witness
from harness.native import ffi, lib

PAGE = 4096


@pytest.fixture
def run_page() -> Any:
    """A kvm_run with a page behind it, as KVM's mapping has."""
    memory = ffi.new("uint8_t[]", 3 * PAGE)
    page = ffi.cast("struct kvm_run *", memory)
    yield page
    del memory


def test_port_write(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_IO")
    run_page.io.direction = lib.KVM_EXIT_IO_OUT
    run_page.io.size, run_page.io.port, run_page.io.count = 2, 0x3F8, 3
    run_page.io.data_offset = PAGE
    ffi.memmove(ffi.cast("uint8_t *", run_page) + PAGE, b"abcdef", 6)
    assert exits.decode(run_page) == exits.Io(0x3F8, 2, 3, True, b"abcdef")


def test_port_read_has_no_data_yet(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_IO")
    run_page.io.direction = lib.KVM_EXIT_IO_IN
    run_page.io.size, run_page.io.port, run_page.io.count = 1, 0x60, 1
    run_page.io.data_offset = PAGE
    assert exits.decode(run_page) == exits.Io(0x60, 1, 1, False, b"")


@pytest.mark.parametrize("length", [1, 2, 4, 8])
def test_mmio_write(run_page: Any, length: int) -> None:
    run_page.exit_reason = constant("KVM_EXIT_MMIO")
    run_page.mmio.phys_addr, run_page.mmio.len, run_page.mmio.is_write = 0xD0000, length, 1
    ffi.memmove(run_page.mmio.data, b"\x01\x02\x03\x04\x05\x06\x07\x08", 8)
    found = exits.decode(run_page)
    assert found == exits.Mmio(0xD0000, length, True, bytes(range(1, length + 1)))


def test_mmio_read_has_no_data_yet(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_MMIO")
    run_page.mmio.phys_addr, run_page.mmio.len = 0xD0FFE, 2
    assert exits.decode(run_page) == exits.Mmio(0xD0FFE, 2, False, b"")


def test_msr(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_X86_WRMSR")
    run_page.msr.index, run_page.msr.reason, run_page.msr.data = 0x10, 4, 1 << 63
    assert exits.decode(run_page) == exits.Wrmsr(0x10, 4, 1 << 63)
    run_page.exit_reason = constant("KVM_EXIT_X86_RDMSR")
    assert exits.decode(run_page) == exits.Rdmsr(0x10, 4)


def test_hypercall(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_HYPERCALL")
    run_page.hypercall.nr = 12
    run_page.hypercall.args[0:3] = [1, 2, 3]
    assert exits.decode(run_page) == exits.Hypercall(12, (1, 2, 3, 0, 0, 0))


def test_a_hypercall_of_xen(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_XEN")
    call = lib.ke_xen(run_page).u.hcall
    call.input, call.params[0:2] = 60, [1, 2]
    assert exits.decode(run_page) == exits.XenHypercall(60, (1, 2, 0, 0, 0, 0))


def test_what_hyperv_tells(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_HYPERV")
    found = lib.ke_hyperv(run_page)
    found.type, found.u.hcall.input, found.u.hcall.params[0] = lib.KVM_EXIT_HYPERV_HCALL, 0x5C, 7
    assert exits.decode(run_page) == exits.HypervHypercall(0x5C, (7, 0))
    found.type = lib.KVM_EXIT_HYPERV_SYNIC
    synic = found.u.synic
    synic.msr, synic.control, synic.evt_page, synic.msg_page = 0x40000080, 1, 2, 3
    assert exits.decode(run_page) == exits.HypervSynic(0x40000080, 1, 2, 3)
    found.type = 99
    assert exits.decode(run_page) == exits.Other(constant("KVM_EXIT_HYPERV"))
    assert exits.reason_name(1) != "KVM_EXIT_HYPERV_SYNIC"  # its number is that of no exit


def test_internal_error_keeps_its_words_and_no_more(run_page: Any) -> None:
    run_page.exit_reason = constant("KVM_EXIT_INTERNAL_ERROR")
    run_page.internal.suberror, run_page.internal.ndata = 1, 2
    run_page.internal.data[0:2] = [7, 8]
    assert exits.decode(run_page) == exits.InternalError(1, (7, 8))
    run_page.internal.ndata = 4_000_000_000  # a broken kernel must not make the suite read on
    found = exits.decode(run_page)
    assert isinstance(found, exits.InternalError)
    assert len(found.data) == 16


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("KVM_EXIT_HLT", exits.Hlt),
        ("KVM_EXIT_DEBUG", exits.Debug),
        ("KVM_EXIT_INTR", exits.Intr),
        ("KVM_EXIT_IRQ_WINDOW_OPEN", exits.IrqWindowOpen),
        ("KVM_EXIT_SHUTDOWN", exits.Shutdown),
        ("KVM_EXIT_FAIL_ENTRY", exits.FailEntry),
        ("KVM_EXIT_SYSTEM_EVENT", exits.SystemEvent),
        ("KVM_EXIT_DIRTY_RING_FULL", exits.DirtyRingFull),
        ("KVM_EXIT_UNKNOWN", exits.Unknown),
    ],
)
def test_other_reasons(run_page: Any, name: str, kind: type) -> None:
    run_page.exit_reason = constant(name)
    assert isinstance(exits.decode(run_page), kind)
    assert exits.reason_name(constant(name)) == name


def test_a_number_that_is_not_known_yet(run_page: Any) -> None:
    run_page.exit_reason = 4711
    assert exits.decode(run_page) == exits.Other(4711)
    assert exits.reason_name(4711) == "exit reason 4711"


def test_direction_constants_are_no_exit_reasons() -> None:
    """KVM_EXIT_IO_OUT is 1, which as a reason is KVM_EXIT_EXCEPTION."""
    assert exits.reason_name(lib.KVM_EXIT_IO_OUT) == "exit reason 1"


# ---- the witness


def witness(**changes: Any) -> Witness:
    values: dict[str, Any] = {
        "heartbeat": 5,
        "registers": {"rip": 0x8000, "rax": 1},
        "memory": b"page",
        "exits": 10,
        "signal_exits": 2,
    }
    return Witness(**{**values, **changes})


def test_no_difference() -> None:
    assert witness().differences(witness()) == []


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"heartbeat": 6}, "the guest's counter went from 5 to 6"),
        ({"registers": {"rip": 0x8002, "rax": 1}}, "rip went from 0x8000 to 0x8002"),
        ({"memory": b"other"}, "the guest's mailbox page changed"),
        ({"exits": 11}, "KVM's statistic exits went from 10 to 11"),
        ({"signal_exits": 3}, "KVM's statistic signal_exits went from 2 to 3"),
    ],
    ids=["heartbeat", "program_counter", "memory", "exits", "signal_exits"],
)
def test_each_witness_is_heard(changes: dict[str, Any], clause: str) -> None:
    assert witness().differences(witness(**changes)) == [clause]


def test_every_field_of_the_witness_is_compared() -> None:
    """A witness that nobody compares proves nothing."""
    heard = {"heartbeat", "registers", "memory", "exits", "signal_exits"}
    assert {field.name for field in fields(Witness)} == heard
