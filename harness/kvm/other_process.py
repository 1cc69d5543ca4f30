# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN from a process that did not create the VM."""

from __future__ import annotations

import os
import select
import signal
import warnings
from typing import NoReturn

from harness.kvm import abi
from harness.kvm.vcpu import Vcpu

_BYTES = 8


class NoAnswerError(Exception):
    """The other process did not come back from KVM_RUN, and was killed."""


def run_raw_in_child(vcpu: Vcpu) -> int:
    """KVM_RUN in a forked child: the value, or the negative errno, that it got there.

    The child does nothing else: it makes one system call, writes one number and is gone. It is
    killed if it takes longer than the run may; then `NoAnswerError` is raised.
    """
    reader, writer = os.pipe()
    try:
        with warnings.catch_warnings():
            # Python warns of locks that other threads may hold; the child takes none.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _child(vcpu.fd, writer)
        os.close(writer)  # else the end of a child that says nothing would not be seen
        try:
            ready, _, _ = select.select([reader], [], [], vcpu.bounds.patience_s)
            answer = os.read(reader, _BYTES) if ready else b""
            if not answer:
                raise NoAnswerError("KVM_RUN in another process did not return; it was killed")
            return int.from_bytes(answer, "little", signed=True)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    finally:
        os.close(reader)


def _child(fd: int, writer: int) -> NoReturn:
    status = 1
    try:
        value = abi.ioctl_raw(fd, "KVM_RUN", 0)
        os.write(writer, value.to_bytes(_BYTES, "little", signed=True))
        status = 0
    finally:
        os._exit(status)
