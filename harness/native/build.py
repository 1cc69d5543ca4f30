# SPDX-License-Identifier: GPL-2.0-only
"""Describes the native extension to cffi: called by setup.py."""

from __future__ import annotations

import platform
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = (
    "bench.c",
    "calling_thread.c",
    "flip.c",
    "fresh_vm.c",
    "ioctls.c",
    "kick/enter.c",
    "kick/kicker.c",
    "kick/landing.c",
    "kick/record.c",
    "kick/run.c",
    "kick/signal.c",
    "kick/vcpu.c",
    "last_words.c",
    "other_process.c",
    "run.c",
    "senders.c",
    "signals.c",
    "sweep.c",
    "task_work.c",
    "userfault.c",
)
HEADERS = (
    "arch.h",
    *(f"arch/{path.name}" for path in sorted(HERE.glob("arch/*.h"))),
    "calling_thread.h",
    "child.h",
    "clock.h",
    "compat.h",
    "disposition.h",
    "flip.h",
    "fresh_vm.h",
    "guest_memfd.h",
    "kick/enter.h",
    "kick/kick.h",
    "kick/lane.h",
    "last_words.h",
    "native.h",
    "running.h",
    "senders.h",
    "sweep.h",
    "task_work.h",
    "thread_timer.h",
)
INCLUDED = (
    "native.h",
    "calling_thread.h",
    "flip.h",
    "fresh_vm.h",
    "kick/kick.h",
    "senders.h",
    "sweep.h",
    "task_work.h",
)


def declarations(machine: str) -> str:
    """The C declarations that Python sees on a machine (`uname -m`)."""
    neutral = [*sorted(HERE.glob("*.cdef")), *sorted(HERE.glob("kick/*.cdef"))]
    own = sorted(HERE.glob(f"arch/{machine}*.cdef"))  # what only its <asm/kvm.h> has
    return "\n".join(path.read_text(encoding="utf-8") for path in (*neutral, *own))


ffibuilder = FFI()
ffibuilder.cdef(declarations(platform.machine()))
ffibuilder.set_source(
    "harness.native._native",
    "\n".join(f'#include "{name}"' for name in INCLUDED),
    sources=[f"harness/native/{name}" for name in SOURCES],
    include_dirs=["harness/native"],
    depends=[f"harness/native/{name}" for name in HEADERS],
    extra_compile_args=[
        *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers"),
        # asm/types.h of powerpc: __u64 is then unsigned long long, as everywhere else.
        "-D__SANE_USERSPACE_TYPES__",
        # The same sources give the same bytes wherever they are built.
        f"-ffile-prefix-map={Path.cwd()}=.",
    ],
    libraries=["pthread", "rt"],
)
