# SPDX-License-Identifier: GPL-2.0-only
"""Signals through the first KVM_RUN of a VM, which sets up what lives as long as the VM."""

from __future__ import annotations

import threading

import pytest

from harness.host import pace
from harness.kvm.guest import create
from harness.kvm.signals import CountingHandler, ThreadTimer
from harness.kvm.system import System
from harness.require import require_runs_on, require_signal_exit
from suites.dimensions import KICK

# A slow machine is as long in the first KVM_RUN as the steps between signals are longer there.
VMS = pace.here().choose(usual=200, slow=30)
US = 1000  # nanoseconds
SHORTEST_US, LONGEST_US = 20, 200


@pytest.mark.claim("signals.first_run_storm")
def test_storm_on_fresh_vms(kvm: System, guest_mode: str) -> None:
    """Between commits 931656b9e2ff and 916b7f42b3b3 a signal that met the creation of a kernel
    thread in the first KVM_RUN made this and every later one fail with ENOMEM."""
    thread = threading.get_native_id()
    unit = int(pace.here().stretched(US))
    with CountingHandler(KICK) as handler:
        for number in range(VMS):
            # The first signal and the distance of the others sweep the range, each at its pace.
            step = number * (LONGEST_US - SHORTEST_US) // VMS
            first, interval = (SHORTEST_US + step) * unit, (LONGEST_US - step) * unit
            with create(kvm) as guest:
                guest.load("heartbeat", guest_mode)
                with ThreadTimer(KICK, thread, first, interval):
                    result = guest.vcpu.run_raw()
                said = f"VM {number}, with signals every {interval // US} us"
                require_signal_exit(result, f"In the first KVM_RUN of {said}")
                require_runs_on(guest, f"After the storm on {said}")
    assert handler.count() >= VMS, f"{VMS} VMs met {handler.count()} signals only"


@pytest.mark.claim("signals.first_run_storm")
def test_storm_on_ten_runs(kvm: System, guest_mode: str) -> None:
    """A VM whose first runs all met signals is as good as any: its guest counts on."""
    with create(kvm) as guest:
        guest.load("heartbeat", guest_mode)
        unit = int(pace.here().stretched(US))
        thread = threading.get_native_id()
        with (
            CountingHandler(KICK),
            ThreadTimer(KICK, thread, SHORTEST_US * unit, LONGEST_US * unit),
        ):
            for number in range(1, 11):
                require_signal_exit(guest.vcpu.run_raw(), f"In run {number} of a fresh VM")
        require_runs_on(guest, "After ten runs that signals ended")
