# SPDX-License-Identifier: GPL-2.0-only
"""Whether it was the kernel under test that ended the process of a test.

A process dies of many things that are none of KVM's doing: a signal from outside, a memory limit,
a defect of the suite. So its death speaks against the kernel only with a proof: the rescue's last
words on this test, or an alarm that the kernel raised while it ran.
"""

from __future__ import annotations

from harness.host.kernel_log import KernelLog, alarms
from harness.reporting import last_words


def of_alarm(line: str) -> str:
    """The sentence on an alarm in the kernel's log; empty without one."""
    return f"the kernel raised an alarm during this test: {line}" if line else ""


def best(words: str, alarm: str) -> str:
    """What says most of a lost test: last words that accuse, an alarm's line, other last words."""
    return words if last_words.accuse(words) else of_alarm(alarm) or words


class Proofs:
    """Follows the kernel's log beside tests that other processes run."""

    def __init__(self, log: KernelLog | None = None) -> None:
        self._log = log or KernelLog()
        self._alarms: list[str] = []
        self._since: dict[str, int] = {}

    def begin(self, identifier: str) -> None:
        """A test begins. An alarm since the last result is its own: word of a start may be late."""
        self._since[identifier] = len(self._alarms)

    def end(self) -> None:
        """Some test is through."""
        self._alarms += alarms(self._log.new_records())[:1]

    def of(self, identifier: str) -> str:
        """The proof that the kernel ended this test's process, or an empty text."""
        self.end()
        new = self._alarms[self._since.get(identifier, len(self._alarms)) :]
        return best(last_words.of_test(identifier), next(iter(new), ""))

    def close(self) -> None:
        """Closes the log."""
        self._log.close()
