# SPDX-License-Identifier: GPL-2.0-only
"""Describes the native extension to cffi: called by setup.py."""

from __future__ import annotations

import platform
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = (
    "bench.c",
    "flip.c",
    "ioctls.c",
    "kick_enter.c",
    "kick_kicker.c",
    "kick_landing.c",
    "kick_record.c",
    "kick_run.c",
    "kick_signal.c",
    "kick_vcpu.c",
    "last_words.c",
    "other_process.c",
    "run.c",
    "signals.c",
    "sweep.c",
    "userfault.c",
)
HEADERS = (
    "child.h",
    "clock.h",
    "compat.h",
    "disposition.h",
    "flip.h",
    "kick.h",
    "kick_enter.h",
    "kick_lane.h",
    "kick_step.h",
    "last_words.h",
    "native.h",
    "running.h",
    "sweep.h",
    "thread_timer.h",
)
# What only one architecture's <asm/kvm.h> has.
ARCHITECTURES = {"x86_64": "x86_64.cdef"}


def declarations(machine: str) -> str:
    """The C declarations that Python sees on a machine (`uname -m`)."""
    names = ["abi.cdef", "engine.cdef", "flip.cdef", "kick.cdef", "sweep.cdef"]
    if machine in ARCHITECTURES:
        names.append(ARCHITECTURES[machine])
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


ffibuilder = FFI()
ffibuilder.cdef(declarations(platform.machine()))
ffibuilder.set_source(
    "harness.native._native",
    '#include "native.h"\n#include "kick.h"\n#include "flip.h"\n#include "sweep.h"',
    sources=[f"harness/native/{name}" for name in SOURCES],
    include_dirs=["harness/native"],
    depends=[f"harness/native/{name}" for name in HEADERS],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers"],
    libraries=["pthread", "rt"],
)
