# SPDX-License-Identifier: GPL-2.0-only
"""Conditions of the thread that calls KVM_RUN: OF_THE_CALLER is the list.

Each is a function of a guest that makes something so and yields, in each of its states if there are
several. The thread ends with the condition, so nothing is taken back. Its docstring is the
circumstance in the sentence of a failure. Raises `PermissionError` where this process may not.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from harness import caller
from harness.host import tracer
from harness.kvm.guest import Guest
from harness.kvm.signals import KICK, Blocked


def fresh_thread(guest: Guest) -> Iterator[None]:
    """the calling thread never ran the vCPU before"""
    yield


def each_processor(guest: Guest) -> Iterator[None]:
    """the calling thread is bound to one processor after another"""
    for number in sorted(os.sched_getaffinity(0))[:8]:
        os.sched_setaffinity(0, {number})
        yield


def batch(guest: Guest) -> Iterator[None]:
    """the calling thread has the policy SCHED_BATCH"""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    yield


def nice(guest: Guest) -> Iterator[None]:
    """the calling thread is nice"""
    os.setpriority(os.PRIO_PROCESS, 0, min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19))
    yield


def real_time(guest: Guest) -> Iterator[None]:
    """the calling thread has the policy SCHED_FIFO"""
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    yield


def signals_blocked(guest: Guest) -> Iterator[None]:
    """the calling thread blocks a signal"""
    with Blocked(KICK):
        yield


def signal_pending(guest: Guest) -> Iterator[None]:
    """a signal that the calling thread blocks is pending"""
    with Blocked(KICK) as blocked:
        blocked.send(KICK)
        yield


def alternate_stack(guest: Guest) -> Iterator[None]:
    """the calling thread has an alternate signal stack"""
    stack = caller.with_alternate_stack()
    yield
    del stack


def no_new_privileges(guest: Guest) -> Iterator[None]:
    """the calling thread may not get new privileges"""
    caller.without_new_privileges()
    yield


def seccomp(guest: Guest) -> Iterator[None]:
    """the calling thread is behind a seccomp filter"""
    caller.behind_a_filter()
    yield


def timer_slack(guest: Guest) -> Iterator[None]:
    """the calling thread has the least timer slack"""
    caller.with_timer_slack(1)
    yield


def named(guest: Guest) -> Iterator[None]:
    """the calling thread is named as QEMU names a vCPU's"""
    caller.with_name("CPU 0/KVM")
    yield


def fixed_addresses(guest: Guest) -> Iterator[None]:
    """the calling thread has a personality of its own"""
    caller.with_fixed_addresses()
    yield


def own_files(guest: Guest) -> Iterator[None]:
    """the calling thread has a table of descriptors of its own"""
    caller.with_own_files()
    yield


def no_capabilities(guest: Guest) -> Iterator[None]:
    """the calling thread has no capability"""
    caller.without_capabilities()
    yield


def traced(guest: Guest) -> Iterator[None]:
    """another process traces the calling thread"""
    try:
        with tracer.traced():
            yield
    except tracer.NoTracerError as error:
        raise PermissionError(errno.EPERM, f"{error}") from None


OF_THE_CALLER = (
    *(fresh_thread, each_processor, batch, nice, real_time, signals_blocked, signal_pending),
    *(alternate_stack, no_new_privileges, seccomp, timer_slack, named),
    *(fixed_addresses, own_files, no_capabilities, traced),
)
