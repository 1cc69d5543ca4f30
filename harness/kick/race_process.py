# SPDX-License-Identifier: GPL-2.0-only
"""A race in a process of its own, for whoever stops and continues that process.

`RaceProcess` is the caller's end. The other end is this module run as a program: it reads the task
from its standard input, races, and writes the summary to its standard output. The end of its
standard input cancels the race: so does the death of the caller.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness.closing import Closing
from harness.host import pace
from harness.kick.engine import Cancel, measure_speed, run
from harness.kick.guest_kind import SPINS, GuestKind
from harness.kick.plan import Plan
from harness.kick.slots import Slot
from harness.kick.summary import Summary
from harness.kvm.system import System

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 60
_POLL_S = 0.001
_OUT = 1  # standard output, without Python's own buffer


class RaceProcessError(Exception):
    """The other process did not do its work. No verdict about the kernel."""


class RaceProcess(Closing):
    """A context manager: starts the process and the race; at its end the process is gone.

    `speed` is the guest's turns a second; 0 has it measured, which needs one that spins.
    `time_limit_s` counts from the race's begin (0: never).
    """

    def __init__(
        self,
        plan: Plan,
        slot: Slot,
        mode: str,
        *,
        kind: GuestKind = SPINS,
        speed: int = 0,
        time_limit_s: float = 0.0,
    ) -> None:
        task = pickle.dumps((plan, slot, mode, kind, speed, time_limit_s))
        if len(task) > select.PIPE_BUF:  # the other end takes it with one read
            raise RaceProcessError(f"a task of {len(task)} bytes is too long for a pipe")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.kick.race_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # select(2) sees the pipe only
            cwd=_ROOT,
            start_new_session=True,  # a Ctrl-C on the terminal is for the caller alone
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RaceProcessError("the process with the race has no pipes")
        self._in, self._out = self._process.stdin, self._process.stdout
        self._in.write(task)

    def wait_for_begin(self) -> None:
        """Returns once the process is about to race."""
        if self._out.read(1) != b"!":
            raise RaceProcessError(f"the process with the race ended with {self._process.wait()}")

    def cancel(self) -> None:
        """Ends the race early: the summary counts what was done."""
        self._in.close()

    def stop_and_continue(self) -> bool:
        """SIGSTOP, and SIGCONT once the process has stopped. False when it has ended instead."""
        self._process.send_signal(signal.SIGSTOP)
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        bound = _bound()
        while (found := os.waitid(os.P_PID, self._process.pid, flags)) is None:
            if time.monotonic() > bound:
                raise RaceProcessError("SIGSTOP did not stop the process with the race")
            time.sleep(_POLL_S / 10)
        self._process.send_signal(signal.SIGCONT)
        return found.si_code == os.CLD_STOPPED

    def wait_for_processor_time(self, ticks: int) -> bool:
        """Until all threads have used so many clock ticks since now; False when the race is over.

        Then the summary, or the end of the pipe, is there to be read.
        """
        start, bound = self._used(), _bound()
        while self._used() - start < ticks:
            if select.select([self._out], [], [], _POLL_S)[0]:
                return False
            if time.monotonic() > bound:
                raise RaceProcessError("the process with the race got no processor time")
        return True

    def summary(self) -> Summary:
        """What came of the race; waits for its end."""
        text = b"".join(iter(lambda: self._out.read(1 << 16), b""))
        self._in.close()
        if self._process.wait() or not text:
            status = self._process.returncode
            raise RaceProcessError(f"the process with the race ended with status {status}")
        try:
            found = pickle.loads(text)
        except (pickle.UnpicklingError, EOFError) as error:
            raise RaceProcessError(
                f"the process with the race sent {len(text)} bytes that are no summary "
                f"({error}): {text[:40]!r} ... {text[-40:]!r}"
            ) from error
        if not isinstance(found, Summary):
            raise RaceProcessError(f"the process with the race sent {found!r}, which is no summary")
        return found

    def _used(self) -> int:
        """Clock ticks of all its threads, in user and kernel mode: fields 14 and 15 of stat."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()


def _bound() -> float:
    """When patience ends that begins now."""
    return time.monotonic() + pace.here().stretched(_PATIENCE_S)


def send(descriptor: int, text: bytes) -> None:
    """All of it: a SIGSTOP that meets the wait for a full pipe makes write(2) end in part."""
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _cancel_at_the_end(cancel: Cancel) -> None:
    """Waits for the end of standard input."""
    while os.read(0, 1):
        pass
    cancel.set()


def main() -> None:
    """Races as the task on standard input says."""
    plan, slot, mode, kind, speed, limit = pickle.loads(os.read(0, select.PIPE_BUF))
    cancel = Cancel()
    caller = threading.Thread(target=_cancel_at_the_end, args=(cancel,), daemon=True)
    caller.start()
    with System() as system, kind.make(system, mode) as guest:
        speed = speed or measure_speed(guest)
        send(_OUT, b"!")
        (found,) = run([guest], [plan], slot=slot, speed=speed, time_limit_s=limit, cancel=cancel)
        send(_OUT, pickle.dumps(found))
        os.close(_OUT)
        # No SIGSTOP may meet the VM's end. From Linux 6.13 on that waits, uninterruptibly, for a
        # thread of this process which KVM made (vhost_task_stop), and SIGSTOP stops that thread:
        # the process would neither end nor count as stopped.
        caller.join()


if __name__ == "__main__":
    main()
