# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the suites, in two layers.

Stages of life, each built on the one before:
    kvm      an open /dev/kvm; the test is skipped where nothing can be tested
    vm       a virtual machine with its interrupt controller, no vCPU yet
    guest    RAM and one vCPU, no program
    loaded   the program is in place, and the vCPU at its entry; it never ran
    ready    the program has run (its pages are mapped) and was stopped by a signal
    nested   the same for a guest that runs a guest of its own: it was stopped in that one

Dimensions, each with a default that a test changes by its `pin_` helper in suites/dimensions.py:
    guest_mode      the mode the guest starts in: the architecture's last, its richest
    irqchip         who keeps the interrupt controller: "none"
    other_vcpus     vCPUs besides the first: none
    guest_program   the program of guest_blobs: "heartbeat"
    device_name     the device of the fixture `device`: "mmio"

Races, for which each test holds two processors of the host:
    kick_budget     kicks for each protocol, from the option --budget
    slot            the processors, held until the test ends
    speed           turns a second of the guest, whose program must be one that spins
    race            runs plans on the guest, and controls

For random sequences:
    sequences       their numbers, for each test, from the option --sequences

Always on, around each test of the suites: the kernel's log, and what the test leaves behind.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import pytest

from harness import devices
from harness.devices import Device
from harness.host import held
from harness.host.features import reason
from harness.host.kernel_log import KernelLog, alarms
from harness.host.leftovers import left_behind_since, take_stock
from harness.host.obstacles import Obstacle, preflight
from harness.kick import slots
from harness.kick.budget import Budget, BudgetError
from harness.kick.engine import measure_speed
from harness.kick.race import Race
from harness.kvm import arch, offers
from harness.kvm.abi import interrupted
from harness.kvm.guest import Guest
from harness.kvm.run import returns_for_nothing
from harness.kvm.running import NotSeenError, warm_up
from harness.kvm.system import System
from harness.kvm.vm import Vm
from harness.reporting.markers import is_suite_test
from harness.reporting.verdict_text import LOG_INCOMPLETE

pytest_plugins = ["harness.reporting.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the races last, and the random sequences."""
    group = parser.getgroup("kvm-conformance")
    group.addoption(
        "--sequences",
        type=_amount,
        default="15",
        metavar="N|Ns",
        help="random sequences for each test of the chapter explored, or seconds of them for all"
        " together: 15, 120s (default: 15)",
    )
    group.addoption(
        "--budget",
        default="quick",
        metavar="quick|ci|nightly|KICKS",
        help="kicks for each protocol of the races: a word, or a number (default: quick)",
    )


def _amount(text: str) -> str:
    """A number from 1 on, perhaps of seconds."""
    number = text.removesuffix("s")
    if not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return text


def pytest_configure(config: pytest.Config) -> None:
    """What cannot be is refused before anything runs: a budget, or tests without a verdict."""
    if not config.pluginmanager.has_plugin(pytest_plugins[0]):
        raise pytest.UsageError(f"-p no:{pytest_plugins[0]}: without it there is no verdict")
    try:
        Budget.of(config.getoption("--budget"))
    except BudgetError as error:
        raise pytest.UsageError(f"--budget: {error}") from None


# ---- always on


class LeftBehindError(Exception):
    """A test left something behind: a defect of the suite, not a verdict about the kernel."""


@pytest.fixture(autouse=True)
def always_on(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """A new alarm in the kernel's log fails the test; anything left behind is an error.

    What KVM said of itself is told with the result, and what it answered for nothing, and was asked
    again.
    """
    if not is_suite_test(request.node):
        yield
        return
    before, answers = take_stock(), repeated_answers()
    offers.begin()
    with KernelLog() as log:
        yield
        alarm = alarms(log.new_records())
        gap = "records were overwritten before they were read" if log.gaps else ""
        if why := log.why_not or gap:
            record_property(LOG_INCOMPLETE, why[:200])
    for name, count in repeated_answers().items():
        if count != answers[name]:
            record_property(name, count - answers[name])
    if answers_to := offers.said():
        record_property(offers.ANSWERS, answers_to)
    if alarm:
        pytest.fail("the kernel raised an alarm during this test: " + "\n".join(alarm))
    found = left_behind_since(before)
    if found:
        raise LeftBehindError(f"this test left behind: {'; '.join(found)}")


def repeated_answers() -> dict[str, int]:
    """How often this process called KVM_RUN again, and other ioctls, after EINTR without cause."""
    return {
        "spurious_eintr": returns_for_nothing.count,
        "interrupted_ioctls": sum(interrupted.values()),
    }


@pytest.fixture(scope="session", autouse=True)
def thread_at_first() -> Mapping[str, str]:
    """What the kernel says of the thread that runs the tests, before the first of them."""
    return held.of_this_thread()


# ---- stages of life


@pytest.fixture(scope="session")
def host_obstacle() -> Obstacle | None:
    """What keeps every test from running, asked once: it takes a VM, as long as many a test."""
    return preflight()


@pytest.fixture
def kvm(host_obstacle: Obstacle | None) -> Iterator[System]:
    """An open /dev/kvm."""
    if host_obstacle:
        pytest.skip(str(host_obstacle))
    with System() as system:
        system.api_version()  # where preflight() could not ask for want of memory, an error
        yield system


@pytest.fixture
def capability(kvm: System) -> int:
    """For claims about a KVM that has the capability: what it answers."""
    answer = kvm.check_extension("KVM_CAP_IMMEDIATE_EXIT")
    if not answer:
        pytest.skip(reason("no_capability"))
    return answer


@pytest.fixture
def without_capability(kvm: System) -> None:
    """For claims about a KVM that has it not."""
    if kvm.check_extension("KVM_CAP_IMMEDIATE_EXIT"):
        pytest.skip(reason("has_capability"))


@pytest.fixture
def vm(kvm: System, irqchip: str) -> Iterator[Vm]:
    """A virtual machine without memory and vCPUs."""
    architecture = arch.current()
    with kvm.create_vm() as machine:
        try:
            architecture.prepare_vm(machine, irqchip)
        except arch.NoIrqchipError:
            pytest.skip(reason("no_irqchip", irqchip))
        yield machine


@pytest.fixture
def guest(vm: Vm, other_vcpus: int) -> Iterator[Guest]:
    """RAM and a vCPU, or more of these."""
    if other_vcpus and vm.check_extension("KVM_CAP_MAX_VCPUS") <= other_vcpus:
        pytest.skip(reason("no_second_vcpu"))
    with Guest(vm, arch.current(), others=other_vcpus) as made:
        yield made


@contextmanager
def mode_or_skip() -> Iterator[None]:
    """Skips where this KVM does not run the guest's mode."""
    try:
        yield
    except arch.NoGuestModeError as error:
        pytest.skip(reason("no_guest_mode", str(error)))


@pytest.fixture
def loaded(guest: Guest, guest_program: str, guest_mode: str) -> Guest:
    """The program is in place; the vCPU never ran."""
    with mode_or_skip():
        guest.load(guest_program, guest_mode)
    return guest


@pytest.fixture
def ready(loaded: Guest) -> Guest:
    """The program has run and was stopped."""
    warm_up(loaded)
    return loaded


@pytest.fixture
def nested(guest: Guest, guest_mode: str) -> Guest:
    """A guest of the guest has run, and was stopped."""
    try:
        program = guest.architecture.nested_program()
    except arch.NoNestedGuestError as error:
        pytest.skip(reason("no_nested", str(error)))
    guest.load(program, guest_mode)
    try:
        warm_up(guest)
    except NotSeenError as error:
        raise NotSeenError(
            f"the guest's own guest must run: {error}",
            f"its hypervisor is in phase {guest.phase}, after exit code {guest.data(3):#x} "
            f"{guest.data(2):08x}",
        ) from None
    return guest


@pytest.fixture
def device(kvm: System, guest: Guest, device_name: str, guest_mode: str) -> Device:
    """A device with its program in place; the vCPU never ran."""
    with mode_or_skip():
        if word := devices.lacking(kvm, device_name, guest_mode):
            pytest.skip(reason(word, device_name if word == "other_architecture" else ""))
        return devices.make(guest, device_name, guest_mode)


# ---- dimensions


@pytest.fixture
def guest_mode(request: pytest.FixtureRequest) -> str:
    """One of the architecture's MODES."""
    return str(getattr(request, "param", arch.current().MODES[-1]))


@pytest.fixture
def irqchip(request: pytest.FixtureRequest) -> str:
    """One of the architecture's IRQCHIPS."""
    return str(getattr(request, "param", "none"))


@pytest.fixture
def other_vcpus(request: pytest.FixtureRequest) -> int:
    """How many vCPUs the guest's VM has besides the first."""
    marker = request.node.get_closest_marker("other_vcpus")
    return int(marker.args[0]) if marker else 0


@pytest.fixture
def guest_program(request: pytest.FixtureRequest) -> str:
    """The name of a program in guest_blobs."""
    return str(getattr(request, "param", "heartbeat"))


@pytest.fixture
def device_name(request: pytest.FixtureRequest) -> str:
    """The name of a channel of harness.devices."""
    return str(getattr(request, "param", "mmio"))


# ---- races


@pytest.fixture
def kick_budget(pytestconfig: pytest.Config) -> Budget:
    """What --budget says."""
    return Budget.of(pytestconfig.getoption("--budget"))


@pytest.fixture
def sequences(request: pytest.FixtureRequest) -> Iterable[int]:
    """The numbers of as many as --sequences says, or of those that begin in this test's time."""
    text = str(request.config.getoption("--sequences"))
    if not text.endswith("s"):
        return range(int(text))
    sharing = [
        each
        for each in request.session.items
        if request.fixturename in getattr(each, "fixturenames", ())
    ]
    ends = time.monotonic() + int(text.removesuffix("s")) / len(sharing)
    return itertools.takewhile(lambda _: time.monotonic() < ends, itertools.count())


@pytest.fixture
def slot(request: pytest.FixtureRequest) -> Iterator[slots.Slot]:
    """Two processors that no other race of this user uses."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"  {text}", file=sys.stderr, flush=True)

    with slots.slot(say) as held:
        yield held


@pytest.fixture
def speed(slot: slots.Slot, ready: Guest) -> int:
    """The turns of the guest's loop a second."""
    return measure_speed(ready)


@pytest.fixture
def race(slot: slots.Slot, speed: int, ready: Guest) -> Race:
    """Races on a guest that spins."""
    return Race(ready, slot, speed)
