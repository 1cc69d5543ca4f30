# SPDX-License-Identifier: GPL-2.0-only
"""A guest in a process of its own, for what a test must not do to the process of all tests.

`GuestProcess` is the test's end. The other end is this module run as a program: it takes words on
its standard input, one a line, and answers each with one line of JSON:

    progress   runs until the guest has counted on; KVM_RUN is entered anew after each EINTR
    kick       sends the signal of the command line once; the run that it ended
    stop       sets the stop word; the run that it ended; then the process ends

With a signal number on the command line, the vCPU's thread blocks that signal, KVM_SET_SIGNAL_MASK
lets it in, and its disposition is the default one.

What the vCPU does is the last word on the command line, one of KINDS. One that waits makes progress
when its thread sleeps in KVM_RUN; a halted one is then woken by an interrupt, and sleeps again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.closing import Closing
from harness.kvm import call_log
from harness.kvm.arch import word_of
from harness.kvm.guest import Guest, create
from harness.kvm.run import returns_for_nothing
from harness.kvm.running import NotSeenError, Processor, Running
from harness.kvm.signals import CountingHandler
from harness.kvm.speech import Word
from harness.kvm.system import System
from harness.native import lib

_ROOT = Path(__file__).resolve().parents[2]
_LOOK_S = 0.001
_LONGER = 3  # a run that its test may have to find endless is not ended from within before
_END = signal.SIGUSR1

#: What the vCPU does: it runs; it runs and its mask blocks every signal, also the two that none
#: can; it is halted; it is a second one that nobody starts.
KINDS = RUNS, DEAF, HALTED, UNSTARTED = "runs", "deaf", "halted", "unstarted"


@dataclass(frozen=True)
class Answer:
    """What the other process saw.

    `outcome` describes the last run, "" while it goes on. `interrupted`: it ended with EINTR by
    itself; `stopped`: it ended with 0 and the program's last exit. `eintr` counts the EINTR met
    so far, `pending` are the signals that were pending on the vCPU's thread after the run, `thread`
    is the id of that thread.
    """

    outcome: str
    interrupted: bool
    stopped: bool
    eintr: int
    pending: tuple[int, ...]
    thread: int


class GuestProcessError(Exception):
    """The process with the guest is gone: no verdict on the kernel, unless it left last words."""


def _death(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"


class GuestProcess(Closing):
    """A context manager: starts the process; at its end the process is gone."""

    def __init__(self, mode: str, kicked_by: int = 0, kind: str = RUNS) -> None:
        self._kicked_by = int(kicked_by)
        call_log.cannot("another process")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.kvm.guest_process", mode, str(self._kicked_by), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )

    def ask(self, word: str) -> Answer:
        """One of the words above. `GuestProcessError` when the process died instead of answering.

        `NotSeenError` when it died of the kick: what the thread blocks was let in, and taken.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise GuestProcessError("the process with the guest has no pipes")
        try:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            text = f"the process with the guest {_death(status)}, when it was asked for: {word}"
            kicked = word == "kick" and status == -self._kicked_by
            raise NotSeenError("At a kick", text) if kicked else GuestProcessError(text)
        found = json.loads(line)
        return Answer(**{**found, "pending": tuple(found["pending"])})

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def pause(self, patience_s: float) -> bool:
        """SIGSTOP; whether each thread of the process has stopped within the patience."""
        self._process.send_signal(signal.SIGSTOP)
        return self.stops(patience_s)

    def go_on(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def signal_thread(self, thread: int, signo: int) -> None:
        """tgkill(2): a signal to one thread, which no other can take in its place."""
        error = int(lib.ke_signal_thread(self.pid, thread, signo))
        if error:
            raise OSError(-error, f"tgkill: {os.strerror(-error)}")

    def stops(self, patience_s: float) -> bool:
        """Whether it is stopped within the patience."""
        return self._comes_to(os.WSTOPPED, patience_s) == os.CLD_STOPPED

    def killed(self, patience_s: float) -> bool:
        """Whether a signal has ended it within the patience."""
        return self._comes_to(os.WEXITED, patience_s) == os.CLD_KILLED

    def _comes_to(self, what: int, patience_s: float) -> int:
        """What the kernel says of it, or 0 when the patience is over."""
        options = what | os.WEXITED | os.WNOWAIT | os.WNOHANG
        for _ in range(int(patience_s / _LOOK_S)):
            found = os.waitid(os.P_PID, self.pid, options)
            if found is not None:
                return found.si_code
            time.sleep(_LOOK_S)
        return 0

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class _Worker:
    """The other end, of a vCPU that runs."""

    def __init__(self, guest: Guest, processor: Processor, kicked_by: int) -> None:
        self._guest, self._processor = guest, processor
        self._kicked_by = kicked_by
        self._blocked = {kicked_by} if kicked_by else set()
        self._ended = 0
        self._running = self._enter()

    @property
    def _eintr(self) -> int:
        return self._ended + returns_for_nothing.count

    def _enter(self) -> Running:
        return Running(self._processor, blocked=self._blocked).__enter__()

    def _interrupted(self) -> bool:
        return self._running.outcome().gave_eintr

    def _sees(self, wait: Callable[[], None]) -> bool:
        """Whether it sees what it waits for, with KVM_RUN entered anew after each EINTR."""
        while True:
            try:
                wait()
            except NotSeenError:
                if not self._running.over() or not self._interrupted():
                    return False
                self._ended += 1
                self._running = self._enter()
            else:
                return True

    def progress(self) -> None:
        """The guest has counted on."""
        start = self._guest.heartbeat
        self._sees(
            lambda: self._running.wait_until(
                lambda: self._guest.heartbeat != start, "guest progress"
            )
        )

    def stop(self) -> bool:
        """Ends the run; whether it ended as it must."""
        self._guest.stop()
        while self._interrupted():
            self._ended += 1
            self._running = self._enter()
        result = self._running.outcome()
        return result.value == 0 and not result.rescue and word_of(result.exit) is Word.DONE

    def answer(self, word: str) -> Answer:
        """Does what a word says."""
        stopped = False
        if word == "kick":
            self._running.kick(self._kicked_by)
            self._running.outcome()
        elif word == "stop":
            stopped = self.stop()
        else:
            self.progress()
        if not self._running.over():
            return Answer("", False, False, self._eintr, (), self._running.tid)
        return Answer(
            outcome=self._running.outcome().describe(),
            interrupted=self._interrupted(),
            stopped=stopped,
            eintr=self._eintr,
            pending=tuple(sorted(self._running.pending)),
            thread=self._running.tid,
        )


class _Halted(_Worker):
    """The same of one that is halted, and that interrupts wake."""

    def progress(self) -> None:
        """It sleeps, wakes for one turn of its loop, and sleeps again."""
        if self._sees(lambda: self._running.wait_for_sleep()):
            turns = self._guest.heartbeat
            self._interrupt()
            self._sees(
                lambda: self._running.wait_until(
                    lambda: self._guest.heartbeat == turns + 1, "an interrupt to wake the guest"
                )
            )
            self._sees(lambda: self._running.wait_for_sleep())

    def stop(self) -> bool:
        """The interrupt lets it see the stop word."""
        self._guest.stop()
        self._interrupt()
        return super().stop()

    def _interrupt(self) -> None:
        self._guest.architecture.deliver_interrupt(self._guest.vm, self._guest.vcpu)


class _Unstarted(_Worker):
    """The same of one that waits to be started, and never is."""

    def progress(self) -> None:
        """It sleeps."""
        self._sees(lambda: self._running.wait_for_sleep())

    def stop(self) -> bool:
        """A signal ends the run, and the processor has executed nothing."""
        with CountingHandler(_END):
            self._running.stop_by(_END)
        return self._interrupted() and self._processor.heartbeat == 0


def _worker(guest: Guest, mode: str, kicked_by: int, kind: str) -> _Worker:
    if kind == HALTED:
        guest.load("halt", mode, {0: 1})
        return _Halted(guest, guest, kicked_by)
    guest.load("heartbeat", mode)
    if kind == UNSTARTED:
        return _Unstarted(guest, guest.add_processor(), kicked_by)
    if kind == DEAF:
        guest.vcpu.set_signal_mask(range(1, 65))
        guest.vcpu.bounds.patience_s *= _LONGER
    elif kicked_by:
        guest.vcpu.set_signal_mask(())
    return _Worker(guest, guest, kicked_by)


def main(arguments: list[str]) -> None:
    """Runs a guest as the words on standard input say."""
    mode, kicked_by, kind = arguments[0], int(arguments[1]), arguments[2]
    irqchip = "usual" if kind in (HALTED, UNSTARTED) else "none"
    with System() as system, create(system, irqchip) as guest:
        worker = _worker(guest, mode, kicked_by, kind)
        for line in sys.stdin:
            print(json.dumps(asdict(worker.answer(line.strip()))), flush=True)
            if line.strip() == "stop":
                return
        # The test went away: end the run, or this process would stay.
        worker.answer("stop")


if __name__ == "__main__":
    main(sys.argv[1:])
