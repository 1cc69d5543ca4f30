# SPDX-License-Identifier: GPL-2.0-only
"""A race in a process of its own, for a test that stops and continues that process.

`RaceApart` is the test's end. The other end is this module run as a program: it reads the plan
from its standard input, races, and writes the summary to its standard output.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from harness.kick.engine import measure_speed, run
from harness.kick.plan import Plan
from harness.kick.slots import Slot
from harness.kick.summary import Summary
from harness.kvm.guest import create
from harness.kvm.run import slow_machine_factor
from harness.kvm.running import warm_up
from harness.kvm.system import System

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 60
_POLL_S = 0.001


class RaceApartError(Exception):
    """The other process did not do its work. No verdict about the kernel."""


class RaceApart:
    """A context manager: starts the process and the race; at its end the process is gone."""

    def __init__(self, plan: Plan, slot: Slot, mode: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.kick.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # select(2) sees the pipe only
            cwd=_ROOT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self._process.stdin.write(pickle.dumps((plan, slot, mode)))  # far less than a pipe holds
        self._process.stdin.close()

    def wait_for_begin(self) -> None:
        """Returns once the process is about to race."""
        if self._out.read(1) != b"!":
            raise RaceApartError(f"the process with the race ended with {self._process.wait()}")

    def stop_and_continue(self) -> bool:
        """SIGSTOP, and SIGCONT once the process has stopped. False when it has ended instead."""
        self._process.send_signal(signal.SIGSTOP)
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        found = os.waitid(os.P_PID, self._process.pid, flags)
        if found is None or found.si_code != os.CLD_STOPPED:
            return False
        self._process.send_signal(signal.SIGCONT)
        return True

    def wait_for_processor_time(self, ticks: int) -> bool:
        """Until all threads have used so many clock ticks since now; False when the race is over.

        Then the summary, or the end of the pipe, is there to be read.
        """
        start, bound = self._used(), time.monotonic() + _PATIENCE_S * slow_machine_factor()
        while self._used() - start < ticks:
            if select.select([self._out], [], [], _POLL_S)[0]:
                return False
            if time.monotonic() > bound:
                raise RaceApartError("the process with the race got no processor time")
        return True

    def summary(self) -> Summary:
        """What came of the race; waits for its end."""
        text = b"".join(iter(lambda: self._out.read(1 << 16), b""))
        if self._process.wait() or not text:
            status = self._process.returncode
            raise RaceApartError(f"the process with the race ended with status {status}")
        found = pickle.loads(text)
        assert isinstance(found, Summary)
        return found

    def _used(self) -> int:
        """Clock ticks of all its threads, in user and kernel mode: fields 14 and 15 of stat."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def __enter__(self) -> RaceApart:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()


def main() -> None:
    """Races as the task on standard input says."""
    plan, slot, mode = pickle.load(sys.stdin.buffer)
    with System() as system, create(system) as guest:
        guest.load("heartbeat", mode)
        warm_up(guest)
        speed = measure_speed(guest)
        sys.stdout.buffer.write(b"!")
        sys.stdout.buffer.flush()
        (found,) = run([guest], [plan], slot=slot, speed=speed, time_limit_s=0)
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
