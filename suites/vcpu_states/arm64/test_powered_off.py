# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that is powered off (PSCI): nothing runs until another one, or userspace, powers it on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import guest_blobs
from harness.kvm import exits
from harness.kvm.abi import constant
from harness.kvm.arch.aarch64 import ioctls, state
from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import (
    require_exit,
    require_left,
    require_signal_exit,
    require_untouched,
)
from harness.ways import WayOut
from suites.dimensions import KICK, every_guest_mode, every_way, only_on
from suites.vcpu_states.powered_off import require_waits

pytestmark = [pytest.mark.usefixtures("capability"), only_on("aarch64")]

REPEATS = 20
FUNCTION = 4  # a data word of the program hypercall
CPU_OFF, SYSTEM_OFF = 0x8400_0002, 0x8400_0008  # PSCI (Arm DEN 0022)


def by_state(guest: Guest) -> None:
    """Userspace says so by KVM_SET_MP_STATE."""
    guest.load("heartbeat", guest.mode)
    guest.vcpu.set_mp_state(constant("KVM_MP_STATE_STOPPED"))


def from_the_begin(guest: Guest) -> None:
    """It was initialized so (KVM_ARM_VCPU_POWER_OFF)."""
    guest.load("heartbeat", guest.mode)
    ioctls.init_vcpu(guest.vcpu, *ioctls.features(), "KVM_ARM_VCPU_POWER_OFF")
    state.clear_undefined(guest.vcpu)
    blob = guest_blobs.load("heartbeat", guest.architecture.NAME, guest.mode)
    guest.architecture.enter(guest.vcpu, guest.vm, guest.ram, blob)


def by_itself(guest: Guest) -> None:
    """The guest called PSCI's CPU_OFF."""
    guest.load("hypercall", guest.mode, {FUNCTION: CPU_OFF})
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(lambda: guest.phase == 1, "the guest to power itself off")
        running.wait_for_sleep(counted=False)
        running.stop_by(KICK)


def with_the_system(guest: Guest) -> None:
    """The guest called PSCI's SYSTEM_OFF, which is an exit, and powers every vCPU off."""
    guest.load("hypercall", guest.mode, {FUNCTION: SYSTEM_OFF})
    require_exit(guest.vcpu.run_raw(), exits.SystemEvent, "At the call of SYSTEM_OFF")


to_power_off = pytest.mark.parametrize(
    "power_off",
    [by_state, from_the_begin, by_itself, with_the_system],
    ids=lambda power_off: power_off.__name__,
)
PowerOff = Callable[[Guest], None]


@pytest.fixture
def off(loaded: Guest, power_off: PowerOff) -> Guest:
    """A guest whose only vCPU is off."""
    power_off(loaded)
    return loaded


def require_off(guest: Guest, circumstance: str) -> None:
    """KVM says so."""
    found = guest.vcpu.mp_state()
    assert found == constant("KVM_MP_STATE_STOPPED"), (
        f"{circumstance}, the vCPU must still be powered off, but its MP state is {found}"
    )


def require_goes_on(guest: Guest, circumstance: str) -> None:
    """Powered on by userspace it goes on where it was: it meets the stop word, and leaves."""
    turns = guest.heartbeat
    guest.stop()
    guest.vcpu.set_mp_state(constant("KVM_MP_STATE_RUNNABLE"))
    require_left(guest.vcpu.run_raw(), f"{circumstance}, with the vCPU powered on")
    assert guest.heartbeat == turns + 1, (
        f"{circumstance}, the vCPU must go on where it was powered off, for one turn of its loop, "
        f"but it made {guest.heartbeat - turns}"
    )


@pytest.mark.claim("states.powered_off")
@to_power_off
@every_guest_mode
@every_way
def test_ended_while_off(off: Guest, way: WayOut) -> None:
    """The check of the byte comes before KVM waits for the power (kvm_vcpu_sleep()), and a signal
    ends that wait: EINTR at once, each time, nothing executed, and still off."""
    require_off(off, "Before any such run")
    require_untouched(off, "On a vCPU that is powered off", way, REPEATS)
    require_off(off, f"After runs{way.said}")
    require_waits(off, f"After runs{way.said}")
    require_goes_on(off, f"After runs{way.said}")


@pytest.mark.claim("states.powered_off")
@to_power_off
def test_kick_asleep(off: Guest) -> None:
    """KVM_RUN of such a vCPU sleeps; a signal ends it with EINTR, and it is still off."""
    before = off.heartbeat
    with CountingHandler(KICK) as handler, Running(off) as running:
        running.wait_for_sleep(counted=False)
        running.kick(KICK)
        result = running.outcome()
        handled = handler.count()
    require_signal_exit(result, "On a kick while the vCPU is powered off")
    assert handled == 1, f"The signal's handler must run once, but it ran {handled} times"
    assert off.heartbeat == before, "A vCPU that is powered off has executed instructions"
    require_off(off, "After a kick")
    require_goes_on(off, "After a kick")
