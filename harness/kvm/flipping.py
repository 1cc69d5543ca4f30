# SPDX-License-Identifier: GPL-2.0-only
"""immediate_exit changed all the time by another thread."""

from __future__ import annotations

from types import TracebackType

from harness.kvm import call_log
from harness.kvm.vcpu import Vcpu
from harness.lasting_thread import LastingThread
from harness.native import ffi, lib


class Flipping:
    """A context manager: a thread stores 1, 0, 1, ... into the byte; afterwards it is 0."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._over = ffi.new("uint32_t *")
        page = ffi.cast("uint8_t *", vcpu.run_page)
        byte = page + ffi.offsetof("struct kvm_run", "immediate_exit")
        call_log.cannot("a byte that another thread flips")
        self._thread = LastingThread(lambda: lib.ke_flip(byte, self._over), "flipper")

    def _stop(self) -> None:
        self._over[0] = 1

    def __enter__(self) -> Flipping:
        try:
            self._thread.start()
        except BaseException:
            self._thread.settle(self._stop)  # kvm_run is unmapped after it
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.settle(self._stop)
