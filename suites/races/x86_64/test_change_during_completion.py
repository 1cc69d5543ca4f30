# SPDX-License-Identifier: GPL-2.0-only
"""The byte changes while KVM_RUN is held in the completion of an earlier exit.

REP INSB into memory that is not there yet: the next KVM_RUN finishes the instruction, and waits for
userfaultfd in the middle of it. So the change comes between the beginning of the run and its end on
each host, at whatever speed, where a thread that flips the byte may never meet so short a time.
"""

from __future__ import annotations

import errno
from contextlib import closing

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch.x86_64.devices import PORT_STRING_IN, answer_io
from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.userfault import Userfault, UserfaultUnavailableError
from harness.require import require_exit
from suites.dimensions import only_on, pin_guest_mode

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

SLOT = 1
PAGE = 0x1000
# KVM asks for the first 1,024 bytes, then for the rest: no exit is like the one before.
LENGTH = 1500
SOURCE = 0x20000


@pytest.mark.claim("races.concurrent_store")
@pin_guest_mode("protected", "long")
@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1)], ids=["cleared", "set"])
def test_changed_during_completion(guest: Guest, guest_mode: str, before: int, after: int) -> None:
    """Read at the beginning (commit a6816314af57 of 6.11) or behind the completion, but once: the
    run ends with EINTR or goes on to the guest's next exit, and never with 0 and the exit before.
    """
    memory = guest.vm.add_memory(SLOT, at.EXTRA_RAM, PAGE)
    guest.load("string_io", guest_mode, {0: 1, 1: SOURCE, 2: at.EXTRA_RAM})
    require_exit(guest.vcpu.run_raw(), exits.Io, "At the REP OUTSB of one byte")
    guest.set_data(0, LENGTH)
    try:
        slow = Userfault(memory)
    except UserfaultUnavailableError as error:
        pytest.skip(reason("no_userfaultfd", str(error)))
    with closing(slow):
        asked = require_exit(guest.vcpu.run_raw(), exits.Io, "At the REP INSB")
        given = bytes(range(256)) * (asked.count // 256)
        answer_io(guest.vcpu, asked, given)
        guest.vcpu.immediate_exit = before
        # The memory is let go before the run is waited for, however this ends.
        with Running(guest) as running, closing(slow):
            running.wait_until(
                slow.waiting, "the completion of the REP INSB to wait for its memory"
            )
            guest.vcpu.immediate_exit = after
            slow.resolve()
            result = running.outcome()
    guest.vcpu.immediate_exit = 0
    change = f"With immediate_exit {before} at first and {after} while KVM_RUN finished a REP INSB"
    if result.value == -1 and result.errno == errno.EINTR:
        result = guest.vcpu.run_raw()
        change += ", after EINTR"
    following = require_exit(result, exits.Io, f"{change}, at the next exit")
    assert following != asked, (
        f"{change}, it must end with EINTR or with the guest's next exit, but it ended with the "
        f"exit before: {following}"
    )
    assert (following.port, asked.count + following.count) == (PORT_STRING_IN, LENGTH), (
        f"{change}, the guest must ask for the {LENGTH - asked.count} bytes that are left, but "
        f"{following}"
    )
    assert memory.read(0, len(given)) == given, (
        f"{change}, the guest's memory must have the bytes that it was given"
    )
