# SPDX-License-Identifier: GPL-2.0-only
"""Keeps a command, and ends all of it when whoever started it is gone.

virtme-ng starts a shell, that starts another program, and that QEMU: to kill the first of them
leaves the last one running. So this small program stands between. It adopts every descendant that
loses its parent (PR_SET_CHILD_SUBREAPER), and kills them all when the command has ended, or when
something comes on its own standard input: a pipe whose other end the caller holds, and which the
kernel closes even when the caller was killed. In that case it also removes a folder of the
caller's. A caller that goes on says a word first, for it still takes its results from there.

The launcher keeps pytest with its workers the same way, without a folder. Then SIGINT is handed on,
for pytest ends in order by it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import psutil

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
#: States of a process that only waits to be asked how it ended.
ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def main(folder: str, command: Sequence[str]) -> int:
    """Runs the command to its end, or until standard input tells something; its exit code.

    Negative, as subprocess gives it, for a command that a signal ended. `folder`, unless it is an
    empty text, is removed if standard input ended without a word.
    """
    interrupts: list[int] = []
    children: list[int] = []

    def take(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and not folder:
            for process in children:
                os.kill(process, number)
            if not children:
                interrupts.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The pipe alone says when to end. A handler, for the command would inherit SIG_IGN.
        signal.signal(number, take)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        print(f"keeper: prctl: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return 1
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    children.append(child.pid)
    if interrupts:
        child.send_signal(signal.SIGINT)
    try:
        descriptor = os.pidfd_open(child.pid)
        ready, _, _ = select.select([sys.stdin, descriptor], [], [])
        os.close(descriptor)
    finally:
        children.clear()
        _end_descendants(child)
    if descriptor not in ready and folder and not os.read(sys.stdin.fileno(), 1):
        # By rm: folders in folders a thousand deep are more than shutil.rmtree can do.
        subprocess.run(["rm", "-rf", "--one-file-system", "--", folder], check=False)
    return child.returncode


def end_like(status: int) -> NoReturn:
    """Ends this process as the command ended, by a signal too."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command's own core is enough
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status if status >= 0 else 1)


def _end_descendants(child: subprocess.Popen[bytes]) -> None:
    """Kills until none is left; each kill may bring orphans to this process."""
    while found := _descendants():
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, 0)
                if process == child.pid:
                    child.returncode = os.waitstatus_to_exitcode(status)
    child.poll()


def _descendants() -> list[int]:
    """All processes below this one that still run.

    Process.children() of psutil gives up where one process of another user is hidden (hidepid=1).
    """
    children: dict[int, list[int]] = {}
    for number in psutil.pids():
        with contextlib.suppress(psutil.Error):  # it is gone meanwhile, or another user's
            process = psutil.Process(number)
            if process.status() not in ENDED:
                children.setdefault(process.ppid(), []).append(number)
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    end_like(main(sys.argv[1], sys.argv[2:]))
