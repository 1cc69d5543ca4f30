# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN from a process that did not create the VM."""

from __future__ import annotations

import os
import select
import signal
import sys

from harness.kvm import call_log
from harness.kvm.vcpu import Vcpu
from harness.native import lib

_BYTES = 8


class NoAnswerError(Exception):
    """The other process did not come back from KVM_RUN, and was killed."""


def run_raw_in_child(vcpu: Vcpu) -> int:
    """KVM_RUN in a forked child: the value, or the negative errno, that it got there.

    The child does nothing else: it makes one system call, writes one number and is gone. No Python
    runs in it, for this process has threads, whose locks a child would find locked for ever. It is
    killed if it takes longer than the run may; then `NoAnswerError` is raised. OSError: no fork.
    """
    call_log.cannot("another process")
    reader, writer = os.pipe()
    try:
        try:
            child = int(lib.ke_run_in_child(vcpu.fd, writer))
        finally:
            os.close(writer)  # else the end of a child that says nothing would not be seen
        if child < 0:
            raise OSError(-child, f"fork failed: {os.strerror(-child)}")
        try:
            ready, _, _ = select.select([reader], [], [], vcpu.bounds.patience_s)
            answer = os.read(reader, _BYTES) if ready else b""
            if not answer:
                raise NoAnswerError("KVM_RUN in another process did not return; it was killed")
            return int.from_bytes(answer, sys.byteorder, signed=True)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    finally:
        os.close(reader)
