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
    "signals.c",
    "sweep.c",
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
    "kick/enter.h",
    "kick/kick.h",
    "kick/lane.h",
    "last_words.h",
    "native.h",
    "running.h",
    "sweep.h",
    "thread_timer.h",
)
INCLUDED = (*("native.h", "calling_thread.h", "flip.h", "fresh_vm.h", "kick/kick.h", "sweep.h"),)


def declarations(machine: str) -> str:
    """The C declarations that Python sees on a machine (`uname -m`)."""
    names = ["abi.cdef", "calling_thread.cdef", "engine.cdef", "flip.cdef"]
    names += ["fresh_vm.cdef", "kick/kick.cdef", "sweep.cdef"]
    texts = [(HERE / name).read_text(encoding="utf-8") for name in names]
    own = HERE / "arch" / f"{machine}.cdef"  # what only its <asm/kvm.h> has
    if own.exists():
        texts.append(own.read_text(encoding="utf-8"))
    return "\n".join(texts)


ffibuilder = FFI()
ffibuilder.cdef(declarations(platform.machine()))
ffibuilder.set_source(
    "harness.native._native",
    "\n".join(f'#include "{name}"' for name in INCLUDED),
    sources=[f"harness/native/{name}" for name in SOURCES],
    include_dirs=["harness/native"],
    depends=[f"harness/native/{name}" for name in HEADERS],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers"],
    libraries=["pthread", "rt"],
)
