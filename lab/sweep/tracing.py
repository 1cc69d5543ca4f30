# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's record of where a timer's interrupt came, and which one sent the signal.

A kprobe at the handler of the timer's interrupt notes the interrupted program counter. A timer's
interrupt is not yet the kick: it may find nothing due. The kick is the interrupt that is followed
by the signal's generation (trace event signal:signal_generate) in the same task.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab.emulation import arch

_FOLDER = Path("/sys/kernel/tracing")
_BUFFER_KB = 65536


class TracingError(Exception):
    """This kernel cannot tell where interrupts come; the text says why."""


def _write(name: str, text: str) -> None:
    try:
        with (_FOLDER / name).open("w") as file:
            file.write(text)
    except OSError as error:
        raise TracingError(f"tracefs refuses {text!r} in {name}: {error.strerror}") from error


@contextlib.contextmanager
def probes(signo: int) -> Iterator[None]:
    """Sets both events up for the calling thread; removes them at the end. `TracingError`."""
    if not (_FOLDER / "kprobe_events").exists():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", _FOLDER], check=False)
    if not (_FOLDER / "kprobe_events").exists():
        raise TracingError("this kernel has no kprobe events (CONFIG_KPROBE_EVENTS)")
    _write("tracing_on", "0")
    # Of the instruction clock: one an instruction.
    _write("trace_clock", arch.here().trace_clock)
    _write("buffer_size_kb", str(_BUFFER_KB))
    _write("kprobe_events", f"p:sweep/interrupt {arch.here().timer_probe}")
    try:
        _write("events/sweep/interrupt/filter", f"common_pid == {os.getpid()}")
        _write("events/signal/signal_generate/filter", f"sig == {signo}")
        for name in ("sweep/interrupt", "signal/signal_generate"):
            _write(f"events/{name}/enable", "1")
        yield
    finally:
        for name in ("signal/signal_generate", "sweep/interrupt"):
            _write(f"events/{name}/enable", "0")
        _write("kprobe_events", "")
        _write("buffer_size_kb", "1408")


@contextlib.contextmanager
def recorded(copy: Path) -> Iterator[None]:
    """What happens in this block goes to a file, as the kernel prints it."""
    _write("trace", "")
    _write("tracing_on", "1")
    try:
        yield
    finally:
        _write("tracing_on", "0")
        try:
            with (_FOLDER / "trace").open("rb") as trace, copy.open("wb") as out:
                while text := trace.read(1 << 20):
                    out.write(text)
        except OSError as error:
            raise TracingError(f"the kernel's trace is not read: {error.strerror}") from error
