# SPDX-License-Identifier: GPL-2.0-only
"""The window that plays memory: what counts as the same bytes, and what it says of others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from guest_blobs import memory_map as at
from harness.devices.window import Access, Window
from harness.kvm import exits
from harness.kvm.run import RunResult
from harness.native import ffi

BASE = at.MMIO_BASE


@pytest.fixture
def window() -> Any:
    page = ffi.new("struct kvm_run *")
    guest = SimpleNamespace(address=lambda offset: offset, vcpu=SimpleNamespace(run_page=page))
    return Window(guest)  # type: ignore[arg-type]


def run(found: exits.VcpuExit) -> RunResult:
    return RunResult(0, 0, 6, found, None, (0, 0), 0)


def test_the_size_of_pieces_does_not_count(window: Window) -> None:
    window.begin()
    for offset, data in ((0, b"a"), (1, b"bc"), (3, b"d")):
        window.serve(run(exits.Mmio(BASE + offset, len(data), True, data)), "Here")
    window.require_moved([Access(True, BASE, b"abcd")], "Here")


def test_a_load_gets_what_was_stored(window: Window) -> None:
    window.begin([Access(False, BASE, b"old")])
    window.serve(run(exits.Mmio(BASE + 1, 1, True, b"x")), "Here")
    window.serve(run(exits.Mmio(BASE, 3, False, b"")), "Here")
    window.require_moved([Access(True, BASE + 1, b"x"), Access(False, BASE, b"oxd")], "Here")


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([(0, b"ab")], "of 2 the first wrong one is number 3: none in the place of 0x63"),
        ([(0, b"abxd")], "number 3: 0x78 to 0xd0002 in the place of 0x63 to 0xd0002"),
        ([(0, b"abcd"), (3, b"d")], "of 5 the first wrong one is number 5: 0x64 to 0xd0003"),
        ([(2, b"cd"), (0, b"ab")], "number 1: 0x63 to 0xd0002 in the place of 0x61 to 0xd0000"),
    ],
    ids=["lost", "torn", "repeated", "order"],
)
def test_what_is_wrong_is_told(window: Window, pieces: list[tuple[int, bytes]], told: str) -> None:
    window.begin()
    for offset, data in pieces:
        window.serve(run(exits.Mmio(BASE + offset, len(data), True, data)), "Here")
    with pytest.raises(AssertionError, match=told):
        window.require_moved([Access(True, BASE, b"abcd")], "Here")


def test_what_is_no_access_of_the_window(window: Window) -> None:
    window.begin()
    for found in (exits.Mmio(at.MMIO_END - 1, 2, False, b""), exits.Hlt()):
        with pytest.raises(AssertionError, match="after 0 bytes KVM_RUN must return 0 with"):
            window.serve(run(found), "Here")
