# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU and its kvm_run."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from harness.closing import Closing
from harness.kvm import abi, call_log
from harness.kvm.half_mapped import half_mapped
from harness.kvm.run import Bounds, RunResult, bounded_run
from harness.kvm.stats import Stats
from harness.native import ffi

# The kernel's sigset_t in bytes (_NSIG / 8): 16 on MIPS, 8 elsewhere.
KERNEL_SIGSET_BYTES = 16 if os.uname().machine.startswith("mips") else 8


class Vcpu(Closing):
    """A vCPU descriptor with its shared mapping of kvm_run (`run`, a `struct kvm_run *`)."""

    def __init__(self, fd: int, mmap_size: int, ring_bytes: int = 0) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, mmap_size, mmap.MAP_SHARED)
        self._view: Any = ffi.from_buffer("uint8_t[]", self._map, require_writable=True)
        self.run_page: Any = ffi.cast("struct kvm_run *", self._view)
        self.bounds = Bounds()
        self._ring_map: mmap.mmap | None = None
        self._ring: Any = None
        self._ring_size = ring_bytes // ffi.sizeof("struct kvm_dirty_gfn")
        if ring_bytes:
            offset = abi.constant("KVM_DIRTY_LOG_PAGE_OFFSET") * os.sysconf("SC_PAGESIZE")
            self._ring_map = mmap.mmap(fd, ring_bytes, mmap.MAP_SHARED, offset=offset)
            self._ring = ffi.from_buffer(
                "struct kvm_dirty_gfn[]", self._ring_map, require_writable=True
            )
        self._ring_next = 0
        self._masked: int | None = None
        #: A `struct ke_calling_thread *`, while the threads that call KVM_RUN are looked at.
        self.looked_at: Any = None

    def close(self) -> None:
        """Unmaps and closes; a second call does nothing."""
        if self.fd < 0:
            return
        self.run_page = None
        ffi.release(self._view)
        self._map.close()
        if self._ring_map is not None:
            ffi.release(self._ring)
            self._ring_map.close()
        os.close(self.fd)
        self.fd = -1

    def map_again(self) -> mmap.mmap:
        """A second shared mapping of kvm_run: the same memory. The caller closes it."""
        return mmap.mmap(self.fd, len(self._map), mmap.MAP_SHARED)

    # ---- KVM_RUN

    @property
    def immediate_exit(self) -> int:
        """The byte, 0 to 255."""
        return int(self.run_page.immediate_exit)

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self.run_page.immediate_exit = value
        if call_log.current:
            call_log.current.byte_set(self.fd, value)

    def run_raw(
        self, argument: int = 0, *, progress_forbidden: bool = False, goes_on: bool = True
    ) -> RunResult:
        """KVM_RUN, bounded: see `harness.kvm.run`. What the kernel returned, whatever it was.

        But for EINTR without a signal: then KVM_RUN is called again, unless the run does not go on
        (`goes_on`), because what was to end it is gone with the first call.
        """
        return self._run(argument, progress_forbidden, 1, goes_on)

    def run_many_raw(self, times: int, *, progress_forbidden: bool = True) -> RunResult:
        """KVM_RUN so often, as long as it gives EINTR by itself: by a byte that is left set, or by
        a timer's signals.

        What the last one returned, and in `runs` its number. One run's bounds are those of all.
        """
        return self._run(0, progress_forbidden, times)

    def run_kicked_raw(self, times: int) -> RunResult:
        """KVM_RUN so often, as long as it gives EINTR by itself, while signals come: for a storm.

        What the last one returned, and in `runs` its number. One run's bounds are those of all.
        """
        return self._run(0, False, times)

    def _run(
        self, argument: int, progress_forbidden: bool, times: int, goes_on: bool = True
    ) -> RunResult:
        return bounded_run(
            self.fd,
            self.run_page,
            self.bounds,
            argument,
            progress_forbidden,
            times,
            goes_on=goes_on,
            masked=self._masked,
            thread=self.looked_at,
        )

    def run(self) -> RunResult:
        """KVM_RUN that must return 0. Raises `KvmError`, or `RescuedError` after a rescue."""
        result = self.run_raw()
        result.raise_if_rescued()
        if result.errno:
            raise abi.KvmError("KVM_RUN", result.errno)
        return result

    # ---- state that every architecture has

    def mp_state(self) -> int:
        """KVM_GET_MP_STATE, one of the KVM_MP_STATE_ numbers. Raises `KvmError`."""
        state = ffi.new("struct kvm_mp_state *")
        abi.ioctl(self.fd, "KVM_GET_MP_STATE", state)
        return int(state.mp_state)

    def set_mp_state(self, state: int) -> None:
        """KVM_SET_MP_STATE. Raises `KvmError`."""
        request = ffi.new("struct kvm_mp_state *", {"mp_state": state})
        abi.ioctl(self.fd, "KVM_SET_MP_STATE", request)

    def set_signal_mask_raw(
        self, blocked: Iterable[int] | None, length: int = KERNEL_SIGSET_BYTES
    ) -> int:
        """KVM_SET_SIGNAL_MASK (api.rst 4.21): these signals are blocked inside of KVM_RUN.

        None clears the mask. `length` is what is told to the kernel: a wrong one is for tests.
        0, or the negative errno.
        """
        if blocked is None:
            return self._set_mask(ffi.NULL, None)
        bits = 0
        for signo in blocked:
            bits |= 1 << (signo - 1)
        mask = ffi.new("struct kvm_signal_mask *", {"sigset": KERNEL_SIGSET_BYTES})
        mask.len = length
        raw = bits.to_bytes(KERNEL_SIGSET_BYTES, sys.byteorder)
        ffi.memmove(mask.sigset, raw, KERNEL_SIGSET_BYTES)
        return self._set_mask(mask, bits)

    def set_signal_mask_torn_raw(self, readable: int) -> int:
        """KVM_SET_SIGNAL_MASK of every signal, of which the kernel can read so many bytes only.

        The first four bytes are the length, which is right. 0, or the negative errno.
        """
        length = KERNEL_SIGSET_BYTES.to_bytes(4, sys.byteorder)
        with half_mapped((length + b"\xff" * KERNEL_SIGSET_BYTES)[:readable]) as mask:
            return self._set_mask(mask, (1 << 8 * KERNEL_SIGSET_BYTES) - 1)

    def _set_mask(self, mask: Any, bits: int | None) -> int:
        value = abi.ioctl_raw(self.fd, "KVM_SET_SIGNAL_MASK", mask)
        if value == 0:
            self._masked = bits
        return value

    def set_signal_mask(self, blocked: Iterable[int] | None) -> None:
        """`set_signal_mask_raw()` with the right length, but raises `KvmError`."""
        value = self.set_signal_mask_raw(blocked)
        if value < 0:
            raise abi.KvmError("KVM_SET_SIGNAL_MASK", -value)

    def set_guest_debug(self, *, single_step: bool) -> None:
        """KVM_SET_GUEST_DEBUG: stepping on, or debugging off. Raises `KvmError`."""
        request = ffi.new("struct kvm_guest_debug *")
        if single_step:
            request.control = abi.constant("KVM_GUESTDBG_ENABLE") | abi.constant(
                "KVM_GUESTDBG_SINGLESTEP"
            )
        abi.ioctl(self.fd, "KVM_SET_GUEST_DEBUG", request)

    def interrupt_raw(self, vector: int) -> int:
        """KVM_INTERRUPT, without an interrupt controller in the kernel: 0 or negative errno."""
        request = ffi.new("struct kvm_interrupt *")
        request.irq = vector
        return abi.ioctl_raw(self.fd, "KVM_INTERRUPT", request)

    def interrupt(self, vector: int) -> None:
        """`interrupt_raw()`, but raises `KvmError`."""
        value = self.interrupt_raw(vector)
        if value < 0:
            raise abi.KvmError("KVM_INTERRUPT", -value)

    def enable_cap(self, capability: str) -> None:
        """KVM_ENABLE_CAP on the vCPU, without arguments. Raises `KvmError`."""
        request = ffi.new("struct kvm_enable_cap *")
        request.cap = abi.constant(capability)
        abi.ioctl(self.fd, "KVM_ENABLE_CAP", request)

    def ioctl(self, name: str, argument: Any = 0) -> int:
        """An ioctl of the architecture's module on the vCPU. Raises `KvmError`."""
        return abi.ioctl(self.fd, name, argument)

    def stats(self) -> Stats:
        """Binary statistics of the vCPU, for `Vm.stats_of`. Close them. Raises `KvmError`."""
        return Stats(abi.ioctl(self.fd, "KVM_GET_STATS_FD"))

    # ---- dirty ring (api.rst 8.29)

    def dirty_ring_entries(self) -> int:
        """How many pages the ring can name; 0 without a ring."""
        return int(self._ring_size)

    def collect_dirty_ring(self) -> list[tuple[int, int]]:
        """Takes the published entries: (slot, page number). Raises ValueError without a ring."""
        if self._ring is None:
            raise ValueError("this vCPU has no dirty ring: enable it before the vCPU is created")
        call_log.cannot("a dirty ring that is collected")
        found = []
        while self.dirty_ring_published():
            entry = self._ring[self._ring_next % self._ring_size]
            found.append((int(entry.slot), int(entry.offset)))
            entry.flags = abi.constant("KVM_DIRTY_GFN_F_RESET")
            self._ring_next += 1
        return found

    def dirty_ring_waits_for_reset(self) -> bool:
        """Whether the kernel has yet to take back a collected entry: it takes the newest last."""
        if not self._ring_next:
            return False
        flags = self._ring[(self._ring_next - 1) % self._ring_size].flags
        return bool(flags & abi.constant("KVM_DIRTY_GFN_F_RESET"))

    def dirty_ring_is_nearly_full(self) -> bool:
        """Whether seven eighths of it wait to be collected; False without a ring."""
        if self._ring is None:
            return False
        flags = self._ring[(self._ring_next + self._ring_size * 7 // 8) % self._ring_size].flags
        return bool(flags & abi.constant("KVM_DIRTY_GFN_F_DIRTY"))

    def dirty_ring_published(self) -> bool:
        """Whether an entry waits to be collected."""
        flags = self._ring[self._ring_next % self._ring_size].flags
        return bool(flags & abi.constant("KVM_DIRTY_GFN_F_DIRTY"))


def all_signals_but(*allowed: int) -> set[int]:
    """Every signal that may be blocked, less those named: a mask for KVM_SET_SIGNAL_MASK.

    The last real-time signals stay open too, for the rescue must get through.
    """
    never = {signal.SIGKILL, signal.SIGSTOP, *range(signal.SIGRTMAX - 5, signal.SIGRTMAX + 1)}
    return set(range(1, signal.SIGRTMAX + 1)) - set(allowed) - never
