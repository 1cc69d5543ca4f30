# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log: new alarms in it belong to the test during which they came."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import kernel_texts
from harness.closing import Closing
from harness.plain_text import plain

DEVICE = Path("/dev/kmsg")
_RECORD = 8192  # CONSOLE_EXT_LOG_MAX, the longest record (Documentation/ABI/testing/dev-kmsg)

_WARNING = 4  # the level of the mildest alarm (include/linux/kern_levels.h); 0 is the gravest


@dataclass(frozen=True)
class Record:
    """A record of the kernel's own; `time_us` since the boot, None where it tells none."""

    level: int
    time_us: int | None
    text: str

    @property
    def line(self) -> str:
        """As dmesg prints it."""
        if self.time_us is None:
            return self.text
        seconds, rest = divmod(self.time_us, 1_000_000)
        return f"[{seconds:5d}.{rest:06d}] {self.text}"

    @property
    def is_alarm(self) -> bool:
        """Whether the kernel found itself broken."""
        return self.level <= _WARNING and kernel_texts.is_alarm(self.text)


class KernelLog(Closing):
    """A position in the kernel's log, at first its end.

    `why_not` is empty, or says why the log may not be read; then there is never anything new.
    `gaps` counts how often records were overwritten before they were read: nobody knows them.
    """

    def __init__(self, device: Path = DEVICE) -> None:
        self.why_not = ""
        self.gaps = 0
        self._fd = -1
        try:
            self._fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self.why_not = (
                f"{device} cannot be read ({error.strerror}); "
                "run as root, or set kernel.dmesg_restrict=0"
            )

    def new_records(self) -> list[Record]:
        """What the kernel said since the last call."""
        records = []
        while self._fd >= 0:
            try:
                record = os.read(self._fd, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:
                self.gaps += 1
                continue  # the next read goes on behind the gap
            except OSError:
                break
            if not record:
                break
            if (found := _parse(record.decode("utf-8", "replace"))) is not None:
                records.append(found)
        return records

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def alarms(records: Sequence[Record], context: int = 20) -> list[str]:
    """The lines from the first alarm on, up to `context`; empty when there is none."""
    for index, record in enumerate(records):
        if record.is_alarm:
            return [each.line for each in records[index : index + context]]
    return []


def _parse(record: str) -> Record | None:
    """`4,1234,5678901,-;text`: facility and level, sequence, microseconds, flags.

    None for what another than the kernel wrote (its facility is 0): daemons write to /dev/kmsg too.
    """
    prefix, _, text = record.partition(";")
    fields = prefix.split(",")
    if len(fields) < 3 or not fields[0].isdecimal() or int(fields[0]) >> 3:
        return None
    time_us = int(fields[2]) if fields[2].isdecimal() else None
    return Record(int(fields[0]) & 7, time_us, plain(text.split("\n", 1)[0]))
