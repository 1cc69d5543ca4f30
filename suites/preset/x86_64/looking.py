# SPDX-License-Identifier: GPL-2.0-only
"""The thread that calls KVM_RUN of a vCPU that is to take events, looked at around each call."""

from __future__ import annotations

from contextlib import AbstractContextManager

from harness.kvm.arch.x86_64 import patterns
from harness.kvm.calling_thread import ThreadLook
from harness.kvm.guest import Guest
from harness.kvm.running import Processor
from suites.preset.looking import looking


def looking_quietly(
    guest: Guest, other: Processor | None = None
) -> AbstractContextManager[ThreadLook]:
    """`looking()`, without events that wait."""
    return looking(guest, other, patterns.fill_quietly)
