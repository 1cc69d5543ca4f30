# SPDX-License-Identifier: GPL-2.0-only
"""The native extension for another architecture, by clang and lld with the payload's headers."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

from harness.native import build
from harness.signs import Signs
from lab.emulation import cache as caches
from lab.emulation.arch import Foreign
from lab.emulation.cache import Say
from lab.emulation.errors import KernelError
from lab.payload.systems import Systems

NAME = "_native.abi3.so"
ROOT = Path(__file__).resolve().parents[2]
# The oldest Python whose stable interface cffi's code keeps to: one file serves each later Python.
_STABLE = "0x03090000"


def compiler() -> str:
    """The compiler's version, which is part of what a payload is made of. Raises KernelError."""
    return caches.run(["clang", "--version"]).stdout.splitlines()[0]


def made(foreign: Foreign, systems: Systems, say: Say) -> bytes:
    """The extension's file. Raises KernelError with the compiler's first complaint."""
    look = Signs(say, lambda: "building the payload's extension").look
    headers = systems.target / "usr/include"
    with tempfile.TemporaryDirectory(prefix="kvm-conformance-native-") as work:
        # cffi tells what it does on standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            ffi = build.described(foreign.architecture.machine)
            ffi.emit_c_code(str(Path(work, "_native.c")))
        words = ["clang", f"--target={foreign.board.triple}", f"--sysroot={systems.target}"]
        words += [*foreign.board.compiler, *build.FLAGS, f"-ffile-prefix-map={work}=."]
        # A cross compiler that is installed here has headers and libraries of its own, which clang
        # would find before the root's: another kernel's constants.
        words += ["-nostdlibinc", f"-isystem{headers / foreign.board.triple}"]
        words += [f"-isystem{headers}", f"-L{systems.target}/usr/lib/{foreign.board.triple}"]
        # No file of the compiler's own: a payload's libc has all that is called.
        words += ["-fuse-ld=lld", "-nostdlib", "-shared", "-fPIC", "-Wl,--build-id=none"]
        words += [f"-DPy_LIMITED_API={_STABLE}", "-Iharness/native"]
        words += [f"-I{headers / systems.python}"]
        words += [f"-I{headers / foreign.board.triple / systems.python}"]
        words += ["-o", f"{work}/{NAME}", f"{work}/_native.c"]
        words += [f"harness/native/{name}" for name in build.SOURCES]
        done = caches.run([*words, "-lc"], folder=ROOT, look=look)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if "error" in line]
            why = (told or done.stderr.splitlines() or ["it told nothing"])[0].strip()
            machine = foreign.architecture.machine
            raise KernelError(f"the native extension cannot be built for {machine}: {why}")
        return Path(work, NAME).read_bytes()
