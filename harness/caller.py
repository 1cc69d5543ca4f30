# SPDX-License-Identifier: GPL-2.0-only
"""What a thread may be when it calls KVM_RUN: each for a thread that ends afterwards."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable

from harness.kvm import call_log

_LIBC = ctypes.CDLL(None, use_errno=True)
# linux/prctl.h, personality.h, seccomp.h, filter.h, sched.h, capability.h
_PR_SET_NAME, _PR_SET_SECCOMP, _PR_SET_TIMERSLACK, _PR_SET_NO_NEW_PRIVS = 15, 22, 29, 38
_ADDR_NO_RANDOMIZE = 0x0040000
_SECCOMP_MODE_FILTER, _ALLOW = 2, 0x7FFF0000
_BPF_RETURN = 0x06
_CLONE_FS, _CLONE_FILES = 0x200, 0x400
_CAPABILITY_VERSION = 0x20080522
_SIGALTSTACK_BYTES = 1 << 16


def on_a_fresh_thread(work: Callable[[], None], name: str = "caller") -> None:
    """Runs it there, waits for its end, and raises what it raised."""
    call_log.cannot("what the calling thread is")
    raised: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:  # handed to whoever waits
            raised.append(error)

    thread = threading.Thread(target=body, name=name)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def without_new_privileges() -> None:
    """PR_SET_NO_NEW_PRIVS, which a thread never loses again. Raises OSError."""
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def behind_a_filter() -> None:
    """A seccomp filter that allows every call; before it, no new privileges. Raises OSError."""

    class Instruction(ctypes.Structure):
        _fields_ = (
            ("code", ctypes.c_uint16),
            ("jt", ctypes.c_uint8),
            ("jf", ctypes.c_uint8),
            ("k", ctypes.c_uint32),
        )

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction)))

    without_new_privileges()
    one = Instruction(_BPF_RETURN, 0, 0, _ALLOW)
    program = Program(1, ctypes.pointer(one))
    _checked(_LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def with_timer_slack(nanoseconds: int) -> None:
    """PR_SET_TIMERSLACK. Raises OSError."""
    _checked(_LIBC.prctl(_PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0))


def with_name(name: str) -> None:
    """PR_SET_NAME. Raises OSError."""
    _checked(_LIBC.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0))


def with_fixed_addresses() -> None:
    """personality(2): addresses of new mappings are not random. Raises OSError."""
    if _LIBC.personality(_ADDR_NO_RANDOMIZE) < 0:
        _checked(-1)


def with_own_files() -> None:
    """unshare(2): a table of descriptors and a working directory of the thread's own. OSError."""
    _checked(_LIBC.unshare(_CLONE_FS | _CLONE_FILES))


def without_capabilities() -> None:
    """capset(2) of the thread alone: none is left. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _checked(_LIBC.capset(header, (ctypes.c_uint32 * 6)()))


def with_alternate_stack() -> object:
    """sigaltstack(2). The stack; it is to be kept as long as the thread. Raises OSError."""

    class Stack(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    room = ctypes.create_string_buffer(_SIGALTSTACK_BYTES)
    wanted = Stack(ctypes.addressof(room), 0, _SIGALTSTACK_BYTES)
    _checked(_LIBC.sigaltstack(ctypes.byref(wanted), None))
    return room


def _checked(value: int) -> None:
    if value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
