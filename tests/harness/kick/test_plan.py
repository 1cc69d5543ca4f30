# SPDX-License-Identifier: GPL-2.0-only
"""What the kick engine refuses, in sentences, and what an error leaves behind: nothing.

No test here needs /dev/kvm.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.host.features import reason
from harness.kick import engine, plan, realtime
from harness.kick.engine import EngineError
from harness.kick.plan import Delays, Delivery, Plan, PlanError, Protocol
from harness.kick.race import Race, control_of
from harness.kick.slots import Slot, check_processors
from harness.kvm.signals import CountingHandler
from harness.native import lib
from tests.fakes.kick.guest import Fakes, place, race, short, stand_in

ROOT = Path(__file__).resolve().parents[3]
THREAD = Protocol.HANDLER_WRITES


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Fakes:
    """The library of stand-ins."""
    return Fakes(tmp_path_factory.mktemp("fakes"))


def leftovers() -> dict[str, Any]:
    """Handlers, threads, timers and children of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    sets = dict(re.findall(r"^(Sig(?:Cgt|Ign|Blk)):\s*(\w+)", status, re.MULTILINE))
    timers = Path("/proc/self/timers")
    tasks = list(Path("/proc/self/task").iterdir())
    return {
        # Signals 32 and 33 are the C library's, which takes them when it first needs them.
        "handlers": {name: int(bits, 16) & ~(3 << 31) for name, bits in sets.items()},
        "threads": threading.active_count(),
        "tasks": len(tasks),
        "timers": timers.read_text(encoding="ascii").count("ID:") if timers.exists() else 0,
        "children": "".join(children(task) for task in tasks),
    }


def children(task: Path) -> str:
    """The children of one thread; a thread may end while it is looked at."""
    try:
        return (task / "children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Around every test of this file."""
    before = leftovers()
    yield
    # A thread that was joined is still listed while the kernel takes it apart: at the end, and at
    # the beginning, if the test before ended with one.
    until = time.monotonic() + 10
    while (after := leftovers())["tasks"] > before["tasks"] and time.monotonic() < until:
        time.sleep(0.01)
    assert after.pop("tasks") <= before.pop("tasks")
    assert after == before


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Plan(THREAD, -1), "-1 kicks: a budget is 0"),
        (lambda: Plan(THREAD, 10**13), "10000000000000 kicks: a budget is 0"),
        (lambda: Plan(THREAD, 1, delays=Delays(5, 4)), "delays from 5 to 4 ns by 10"),
        (lambda: Plan(THREAD, 1, delays=Delays(-5, 4)), "delays from -5 to 4 ns by 10"),
        (lambda: Plan(THREAD, 1, delays=Delays(0, 4, -1)), "delays from 0 to 4 ns by -1"),
        (lambda: Plan(THREAD, 1, delays=Delays(0, 10**15)), "at most"),
        (lambda: Plan(THREAD, 1, window_ns=-1), "a window of -1 ns"),
        (lambda: Plan(THREAD, 1, window_ns=10**15), "a window of 1000000000000000 ns"),
        (lambda: Plan(THREAD, 1, kickers=0), "0 kickers: there may be 1 to 16"),
        (lambda: Plan(THREAD, 1, kickers=17), "17 kickers: there may be 1 to 16"),
        (lambda: Plan(THREAD, 1, realtime=-1), "realtime priority -1: 0 (none) to 99"),
        (lambda: Plan(THREAD, 1, realtime=100), "realtime priority 100: 0 (none) to 99"),
        (lambda: Plan(THREAD, 1, Delivery.TIMER, realtime=1), "a kick by timer has none"),
        (lambda: Plan(THREAD, 1, Delivery.ITSELF, realtime=1), "a kick by itself has none"),
        (lambda: Plan(THREAD, 1, burst=0), "a burst of 0 signals"),
        (lambda: Plan(THREAD, 1, burst=10**10), "a burst of 10000000000 signals"),
        (lambda: Plan(THREAD, 1, placement="nowhere"), "placement 'nowhere': one of"),
        (lambda: Plan(THREAD, 1, seed=-1), "seed -1"),
        (
            lambda: Plan(Protocol.KICKER_WRITES, 1, delivery=Delivery.TIMER),
            "kicker_writes needs a kicker that writes",
        ),
        (lambda: Plan(THREAD, 1, signo=0), "signal 0: signals go from 1 to"),
        (lambda: Plan(THREAD, 1, signo=65), "signal 65: signals go from 1 to"),
        (lambda: Plan(THREAD, 1, signo=signal.SIGKILL), "signal 9 (SIGKILL) cannot be handled"),
        (lambda: Plan(THREAD, 1, signo=signal.SIGSTOP), "signal 19 (SIGSTOP) cannot be handled"),
        (lambda: Plan(THREAD, 1, signo=32), "signal 32 is the C library's own"),
        (lambda: Plan(THREAD, 1, signo=signal.SIGSEGV), "is a fault of the processor"),
        (lambda: Plan(THREAD, 1, signo=signal.SIGTRAP), "is a fault of the processor"),
        (lambda: Plan(THREAD, 1, signo=lib.ke_rescue_signal()), "is the supervisor's own"),
    ],
)
def test_a_plan_that_cannot_be_carried_out(made: Callable[[], Plan], says: str) -> None:
    with pytest.raises(PlanError) as caught:
        engine.run([stand_in()], [made()], slot=place(), speed=1)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_no_thread_steps_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the engine would refuse it with ENOSYS; a control of its own is another thread's."""
    assert control_of(halts=True, seed=3, kicks=6).delivery is Delivery.ITSELF
    monkeypatch.setattr(
        plan, "lib", SimpleNamespace(ke_can_deliver=lambda number: number != lib.KE_BY_ITSELF)
    )
    with pytest.raises(PlanError, match="this architecture has no kick by itself"):
        Plan(THREAD, 1, Delivery.ITSELF).check()
    found = control_of(halts=True, seed=3, kicks=6)
    assert (found.delivery, found.protocol) == (Delivery.THREAD, Protocol.CONTROL)
    assert (found.halts, found.seed) == (True, 3)
    assert found.window_ns > found.delays.last


def test_a_signal_that_is_taken(fakes: Fakes) -> None:
    with (
        CountingHandler(50),
        pytest.raises(EngineError, match="signal 50 is taken: this process handles it already"),
    ):
        race(fakes, "sound", short(THREAD, 10, signo=50))


def test_the_supervisors_signal_is_taken(fakes: Fakes) -> None:
    number = lib.ke_rescue_signal()
    with CountingHandler(number), pytest.raises(EngineError, match=f"signal {number} is taken"):
        race(fakes, "sound", short(THREAD, 10))


def test_the_trap_is_taken(fakes: Fakes) -> None:
    with CountingHandler(signal.SIGTRAP), pytest.raises(EngineError, match="signal 5 is taken"):
        race(fakes, "sound", short(THREAD, 10, delivery=Delivery.ITSELF))


def test_a_signal_that_is_ignored_is_not_taken(fakes: Fakes) -> None:
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        (summary,) = race(fakes, "sound", short(THREAD, 10, signo=signal.SIGUSR2))
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert summary.kicks == 10


def test_everything_blocked_by_the_caller_does_not_matter(fakes: Fakes) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        (summary,) = race(fakes, "sleeps", short(THREAD, 2, halts=True))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert summary.losses


@pytest.mark.parametrize("delivery", list(Delivery))
def test_after_a_race_nothing_is_left(fakes: Fakes, delivery: Delivery) -> None:
    (summary,) = race(fakes, "sound", short(THREAD, 50, delivery=delivery))
    assert summary.kicks == 50


# ---- processors


def test_a_processor_that_does_not_exist() -> None:
    with pytest.raises(PlanError, match="processor 4000 does not exist"):
        check_processors(Slot(0, 4000))


def test_a_processor_that_is_offline(tmp_path: Path) -> None:
    (tmp_path / "present").write_text("0-3\n")
    (tmp_path / "online").write_text("0,2-3\n")
    with pytest.raises(PlanError, match="processor 1 is offline; online are 0,2-3"):
        check_processors(Slot(0, 1), folder=tmp_path)
    check_processors(Slot(2, 3), folder=tmp_path)


def test_the_engine_asks_for_processors_that_a_plan_uses(fakes: Fakes) -> None:
    guests, nowhere = [stand_in()], Slot(0, 4000)
    for made in (short(THREAD, 5), short(THREAD, 5, placement="free", migrate=True)):
        with pytest.raises(PlanError, match="processor 4000"):
            engine.run(guests, [made], slot=nowhere, speed=1, function=fakes["sound"])
    free = short(THREAD, 5, placement="free")
    engine.run(guests, [free], slot=nowhere, speed=fakes.speed, function=fakes["sound"])


def test_the_engine_itself_refuses_a_processor(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a cpuset that leaves an online processor out.
    monkeypatch.setattr(engine, "check_processors", lambda slot: None)
    for slot in (Slot(0, 4000), Slot(4000, 0)):
        with pytest.raises(EngineError, match=r"processor.*4000"):
            engine.run(
                [stand_in()], [short(THREAD, 0)], slot=slot, speed=1, function=fakes["sound"]
            )


# ---- vCPUs


@pytest.mark.parametrize("count", [0, 9])
def test_more_vcpus_than_kvm_allows(count: int) -> None:
    guest = stand_in()
    guest.vm = SimpleNamespace(check_extension={"KVM_CAP_MAX_VCPUS": 8}.__getitem__)
    with pytest.raises(PlanError, match=f"{count} vCPUs: KVM on this host allows 1 to 8"):
        Race(guest, place(), 1).run_beside([guest] * count, [short(THREAD, 1)] * count)


# ---- realtime priorities


#: What an EngineError says in a process that may not take a realtime priority. The library is
#: loaded before, for it may be in a folder of root's.
WITHOUT_PRIVILEGES = """
import os, pathlib, resource, sys
from tests.fakes.kick.guest import Fakes, race, short
from harness.kick.engine import EngineError
from harness.kick.plan import Delivery, Protocol

folder, delivery, priority = sys.argv[1:]
fakes = Fakes(pathlib.Path(folder))
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)  # which also drops the capabilities
asked = {"delivery": Delivery(delivery), "realtime": int(priority)}
try:
    race(fakes, "sound", short(Protocol.HANDLER_WRITES, 10, **asked))
except EngineError as error:
    print(error)
else:
    print("no error")
"""


def without_privileges(fakes: Fakes, delivery: Delivery, priority: int) -> str:
    """What the program above prints: a process of its own, for it gives up what it may do."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [str(fakes.folder), delivery.value, str(priority)]
    command = [sys.executable, "-c", WITHOUT_PRIVILEGES, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("delivery", [Delivery.THREAD, Delivery.PROCESS, Delivery.QUEUE])
def test_no_permission_for_a_realtime_priority(fakes: Fakes, delivery: Delivery) -> None:
    assert without_privileges(fakes, delivery, 7) == (
        "realtime priority 7 is not permitted: this process has no CAP_SYS_NICE, and its "
        "RLIMIT_RTPRIO is 0; run as root, or raise the limit to 7 (ulimit -r)"
    )
    assert without_privileges(fakes, delivery, 0) == "no error"


@pytest.mark.parametrize("placement", ["together", "apart", "free"])
@pytest.mark.parametrize("delivery", [Delivery.THREAD, Delivery.PROCESS])
def test_realtime_kickers_leave_the_vcpu_its_processor(
    fakes: Fakes, placement: str, delivery: Delivery
) -> None:
    why = realtime.obstacle(1)
    if why:
        pytest.skip(reason("no_realtime", why))
    asked = short(THREAD, 500, delivery=delivery, placement=placement, realtime=1)
    (summary,) = race(fakes, "sound", asked)
    assert (summary.kicks, summary.losses) == (500, 0)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


# ---- an end from outside


def test_the_time_limit_ends_a_race(fakes: Fakes) -> None:
    """And the kick that was under way is not lost; a starved host may not have come to one."""
    (summary,) = race(fakes, "sound", short(THREAD, 0), time_limit_s=0.2)
    assert summary.losses == 0


def test_a_cancelled_race_ends(fakes: Fakes) -> None:
    cancel = engine.Cancel()
    timer = threading.Timer(0.2, cancel.set)
    timer.start()
    (summary,) = race(fakes, "sound", short(THREAD, 0), time_limit_s=0, cancel=cancel)
    timer.join()
    assert summary.losses == 0


def test_one_bad_plan_of_two_starts_nothing(fakes: Fakes) -> None:
    with pytest.raises(PlanError):
        engine.run(
            [stand_in(), stand_in()],
            [short(THREAD, 5), short(THREAD, -5)],
            slot=place(),
            speed=1,
            function=fakes["sound"],
        )
    with CountingHandler(50), pytest.raises(EngineError):
        engine.run(
            [stand_in(), stand_in()],
            [short(THREAD, 5), short(THREAD, 5, signo=50)],
            slot=place(),
            speed=1,
            function=fakes["sound"],
        )
