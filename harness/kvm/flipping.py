# SPDX-License-Identifier: GPL-2.0-only
"""immediate_exit changed all the time by another thread."""

from __future__ import annotations

import threading
from types import TracebackType

from harness.kvm.vcpu import Vcpu
from harness.native import ffi, lib


class Flipping:
    """A context manager: a thread stores 1, 0, 1, ... into the byte; afterwards it is 0."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._over = ffi.new("uint32_t *")
        page = ffi.cast("uint8_t *", vcpu.run_page)
        byte = page + ffi.offsetof("struct kvm_run", "immediate_exit")
        self._thread = threading.Thread(target=lib.ke_flip, args=(byte, self._over), name="flipper")

    def __enter__(self) -> Flipping:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over[0] = 1
        self._thread.join()
