# SPDX-License-Identifier: GPL-2.0-only
"""A guest in a process of its own, for what a test must not do to the process of all tests.

`GuestProcess` is the test's end. The other end is this module run as a program: it takes words on
its standard input, one a line, and answers each with one line of JSON:

    progress   runs until the guest has counted on; KVM_RUN is entered anew after each EINTR
    kick       sends the signal of the command line once; the run that it ended
    stop       sets the stop word; the run that it ended; then the process ends

With a signal number on the command line, the vCPU's thread blocks that signal, KVM_SET_SIGNAL_MASK
lets it in, and its disposition is the default one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.closing import Closing
from harness.kvm.arch import word_of
from harness.kvm.guest import Guest, create
from harness.kvm.run import returns_for_nothing
from harness.kvm.running import NotSeenError, Running
from harness.kvm.speech import Word
from harness.kvm.system import System

_ROOT = Path(__file__).resolve().parents[2]


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

    def __init__(self, mode: str, kicked_by: int = 0) -> None:
        self._kicked_by = int(kicked_by)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.kvm.guest_process", mode, str(self._kicked_by)],
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
            raise NotSeenError(text) if kicked else GuestProcessError(text)
        found = json.loads(line)
        return Answer(**{**found, "pending": tuple(found["pending"])})

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def pause(self) -> None:
        """SIGSTOP, and returns once the process has stopped."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def go_on(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class _Worker:
    """The other end."""

    def __init__(self, guest: Guest, kicked_by: int) -> None:
        self._guest = guest
        self._kicked_by = kicked_by
        self._blocked = {kicked_by} if kicked_by else set()
        self._ended = 0
        self._running = self._enter()

    @property
    def _eintr(self) -> int:
        return self._ended + returns_for_nothing.count

    def _enter(self) -> Running:
        return Running(self._guest, blocked=self._blocked).__enter__()

    def _await_progress(self) -> None:
        start = self._guest.heartbeat
        while self._guest.heartbeat == start:
            try:
                self._running.wait_for_progress(1)
            except NotSeenError:
                if not self._running.over() or not self._interrupted():
                    return
                self._ended += 1
                self._running = self._enter()

    def _interrupted(self) -> bool:
        return self._running.outcome().gave_eintr

    def _stop(self) -> None:
        self._guest.stop()
        while self._interrupted():
            self._ended += 1
            self._running = self._enter()

    def answer(self, word: str) -> Answer:
        if word == "kick":
            self._running.kick(self._kicked_by)
            self._running.outcome()
        elif word == "stop":
            self._stop()
        else:
            self._await_progress()
        if not self._running.over():
            return Answer("", False, False, self._eintr, (), self._running.tid)
        result = self._running.outcome()
        return Answer(
            outcome=result.describe(),
            interrupted=self._interrupted(),
            stopped=result.value == 0 and not result.rescue and word_of(result.exit) is Word.DONE,
            eintr=self._eintr,
            pending=tuple(sorted(self._running.pending)),
            thread=self._running.tid,
        )


def main(arguments: list[str]) -> None:
    """Runs a guest as the words on standard input say."""
    mode, kicked_by = arguments[0], int(arguments[1])
    with System() as system, create(system) as guest:
        guest.load("heartbeat", mode)
        if kicked_by:
            guest.vcpu.set_signal_mask(())
        worker = _Worker(guest, kicked_by)
        for line in sys.stdin:
            print(json.dumps(asdict(worker.answer(line.strip()))), flush=True)
            if line.strip() == "stop":
                return
        # The test went away: end the run, or this process would stay.
        worker.answer("stop")


if __name__ == "__main__":
    main(sys.argv[1:])
