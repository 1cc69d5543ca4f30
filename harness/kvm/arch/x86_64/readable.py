# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: everything that KVM lets userspace read of a vCPU and its VM.

Each part is what one ioctl gives, as numbers by name: `whole()` of a vCPU that did not run is twice
the same, but for what `COUNTS_TIME` names. A part that this KVM does not have is left out.
"""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Iterator, Mapping

from harness.kvm import abi, parts
from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import clocks, ioctls, state
from harness.kvm.parts import Part, Read
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

#: What goes on by itself while the vCPU does not run, and why: it is not compared.
COUNTS_TIME: Mapping[str, str] = {
    "msr 0x10": "the time-stamp counter",
    "msr 0x40000010": "Hyper-V's run time of the virtual processor (TLFS 4.0, 12.4): its thread's",
    "msr 0x40000020": "Hyper-V's reference counter (TLFS 4.0, 12.4): the VM's clock",
    "lapic 0x390": "what is left of the APIC timer's count",
    "clock": "the VM's clock (api.rst 4.29)",
    "statistic host_state_reload": "each call that puts the vCPU back counts (svm_vcpu_put())",
    "statistic preemption_reported": "the host's scheduler (kvm_steal_time_set_preempted())",
    "statistic preemption_other": "the host's scheduler (kvm_steal_time_set_preempted())",
}
#: What an immediate run may count, and why.
COUNTS_RUNS: Mapping[str, str] = {
    "statistic fpu_reload": "kvm_load_guest_fpu() comes before the check of the byte",
}

#: What a run that a signal ends may count, and why. KVM looks for one last thing before the guest,
#: in vcpu_enter_guest(), and takes back what it had begun to inject (kvm_x86_ops.cancel_injection);
#: a halted vCPU polls or begins to sleep first (kvm_vcpu_halt()).
COUNTS_SIGNALS: Mapping[str, str] = {
    **COUNTS_RUNS,
    "statistic signal_exits": "this is one",
    "statistic req_event": "the request to look for events is served before",
    "lapic 0xa0": "the processor priority, which KVM computes where it looks for events",
    "clock flags": "whether the clock follows the TSC is found out on the way to the first entry",
    **{
        f"statistic {name}": "a halted vCPU may poll, and begin to sleep, before the signal is seen"
        for name in (
            *("halt_successful_poll", "halt_attempted_poll", "halt_poll_invalid", "halt_wakeup"),
            *("halt_poll_success_ns", "halt_poll_fail_ns", "halt_wait_ns"),
        )
    },
}

#: What the end of an operation may change besides the registers of its program, and why. Memory is
#: none of it: what ends there (INS, MOVS) is asked for byte by byte.
COMPLETION_CHANGES: Mapping[str, str] = {
    "events interrupt.shadow": "it lasts one instruction, and that one has ended",
    **{
        f"statistic {name}": "some kernels count an operation where it begins, some at its end"
        for name in ("io_exits", "mmio_exits", "hypercalls", "insn_emulation")
    },
}
#: What userspace cannot read, or only by a call that changes it, and who looks at it instead.
NOT_READ: Mapping[str, str] = {
    "guest debug": "KVM_GET_GUEST_DEBUG was never built; states.single_step looks at steps taken",
    "dirty bitmap": "KVM_GET_DIRTY_LOG clears it, unless that is done by hand; races.quiet looks",
    "dirty ring": "memory shared with KVM; states.dirty_ring looks at it",
    "AMX tiles": "a guest has them only where its process asked for them (arch_prctl)",
    "statistics of the VM": "the host's memory management moves them at any time",
    "XSTATE_BV": "what the processor found in use; a component in its first state may be so or not",
    "requests": "what KVM owes a vCPU shows in the next run: preset.requests_kept",
    "other statistics": "what the host does for its own sake (tlb_flush, l1d_flush), and what "
    "later kernels count: nobody has promised when",
    "Xen's attributes": "the runstate is the scheduler's (kvm_xen_runstate_set_preempted()), and "
    "to ask for the timer (KVM_XEN_VCPU_GET_ATTR) delivers it where it is over",
    "KVM_GET_ONE_REG": "of x86 it has MSRs, and a shadow stack's pointer, which no program has",
    "supervisor components": "KVM_GET_XSAVE has none; what they hold are MSRs, which are compared",
    "unsteady TSC offset": "where the host's TSC is unstable each call sets the guest's anew",
    "refused parts": "what this KVM answers with EINVAL, ENXIO or ENOTTY: it has not got it",
}

_APIC_STEP = 0x10  # a register of 32 bits at each
_CHIPS = ("pic_master", "pic_slave", "ioapic")  # chip_id of KVM_GET_IRQCHIP, api.rst 4.25
_PIC_FIELDS = (
    *("last_irr", "irr", "imr", "isr", "priority_add", "irq_base", "read_reg_select", "poll"),
    *("special_mask", "init_state", "auto_eoi", "rotate_on_auto_eoi"),
    *("special_fully_nested_mode", "init4", "elcr", "elcr_mask"),
)
_CHIP_HEAD = 8  # bytes of struct kvm_irqchip before the chip's own
_IOAPIC_PINS = 24
_LEGACY_BYTES, _HEADER_BYTES = 512, 64  # of an XSAVE area (Intel SDM volume 1, 13.4)
_MXCSR_AT, _ST_AT, _XMM_AT = 24, 32, 160
_X87, _SSE = 0, 1
_FIRST_CONTROL = 0x37F  # FCW after INIT, and zero from FSW to FDP (Intel SDM volume 1, 13.6)
_MOST_COMPONENTS = 63
# struct kvm_cpuid_entry2: function, index, flags, four registers, padding.
_CPUID_ENTRY = struct.Struct("=II4x4I12x")
LARGEST_NESTED = 128 + 8192  # of KVM_GET_NESTED_STATE: header and two pages: VMX's, the larger


def whole(vcpu: Vcpu, vm: Vm) -> Mapping[str, int]:
    """Every number by name, such as `msr 0x277` and `xsave xmm3`. Raises `KvmError`."""
    return parts.whole(_PARTS, vcpu, vm)


def _flat(ioctl: str, kind: str) -> Read:
    """A part that is one struct of the vCPU."""

    def read(vcpu: Vcpu, _vm: Vm) -> Part:
        found = ffi.new(f"struct {kind} *")
        vcpu.ioctl(ioctl, found)
        return state.fields(found)

    return read


def _sregs2(vcpu: Vcpu, _vm: Vm) -> Part:
    """What KVM_GET_SREGS has not."""
    found = ffi.new("struct kvm_sregs2 *")
    vcpu.ioctl("KVM_GET_SREGS2", found)
    pdptrs = {f"pdptr{index}": int(value) for index, value in enumerate(found.pdptrs)}
    return {"flags": int(found.flags), **pdptrs}


def _xcrs(vcpu: Vcpu, _vm: Vm) -> Part:
    found = ffi.new("struct kvm_xcrs *")
    vcpu.ioctl("KVM_GET_XCRS", found)
    return {f"xcr{each.xcr}": int(each.value) for each in found.xcrs[0 : found.nr_xcrs]}


def _xsave(vcpu: Vcpu, _vm: Vm) -> Part:
    """By register and component; those beyond SSE lie where CPUID says (leaf 0xD).

    XSTATE_BV, which says what the processor found in use, is no part: a component that is all in
    its first state may be in use or not. One that is not in use is told as in its first state.
    """
    found = ffi.new("struct kvm_xsave *")
    vcpu.ioctl("KVM_GET_XSAVE", found)
    area = bytes(ffi.buffer(found.region))
    in_use = _number(area[_LEGACY_BYTES : _LEGACY_BYTES + 8])

    def number(component: int, start: int, end: int) -> int:
        return _number(area[start:end]) if in_use >> component & 1 else 0

    parts = {
        "control": number(_X87, 0, _MXCSR_AT) or _FIRST_CONTROL,
        "mxcsr": _number(area[_MXCSR_AT : _MXCSR_AT + 4]),
        "xcomp_bv": _number(area[_LEGACY_BYTES + 8 : _LEGACY_BYTES + 16]),
    }
    for index in range(8):
        start = _ST_AT + 16 * index
        parts[f"st{index}"] = number(_X87, start, start + 10)
    for index in range(16):
        start = _XMM_AT + 16 * index
        parts[f"xmm{index}"] = number(_SSE, start, start + 16)
    for component, size, place in components():
        for start in range(place, min(place + size, len(area)), 16):
            name = f"component{component}+{start - place:#x}"
            parts[name] = number(component, start, min(start + 16, place + size))
    return parts


def components() -> Iterator[tuple[int, int, int]]:
    """Number, bytes and place of each component behind the header that KVM can give a guest."""
    cpuid = ioctls.supported_cpuid()
    for entry in cpuid.entries[0 : cpuid.nent]:
        # ECX bit 0: a supervisor's, which the area of KVM_GET_XSAVE does not have.
        if entry.function == 0xD and 2 <= entry.index <= _MOST_COMPONENTS and not entry.ecx & 1:
            yield int(entry.index), int(entry.eax), int(entry.ebx)


#: MSRs that KVM gives and older kernels do not list: MTRRs, and the first and the last of the banks
#: for machine checks.
_NOT_LISTED = (
    *(*range(0x200, 0x210), 0x250, 0x258, 0x259, *range(0x268, 0x270), 0x2FF),
    *(*range(0x400, 0x40C), *range(0x47C, 0x480)),
)
_indices: list[int] = []


def msr_indices() -> list[int]:
    """KVM_GET_MSR_INDEX_LIST, asked once a process, and what it leaves out. Raises `KvmError`."""
    if not _indices:
        with System() as system:
            asked = ffi.new("struct kvm_msr_list *", {"indices": 0})
            asked.nmsrs = 0
            if abi.ioctl_raw(system.fd, "KVM_GET_MSR_INDEX_LIST", asked) not in (0, -errno.E2BIG):
                raise KvmError("KVM_GET_MSR_INDEX_LIST", errno.EINVAL)
            found = ffi.new("struct kvm_msr_list *", {"indices": int(asked.nmsrs)})
            found.nmsrs = asked.nmsrs
            abi.ioctl(system.fd, "KVM_GET_MSR_INDEX_LIST", found)
            listed = [int(found.indices[each]) for each in range(found.nmsrs)]
            _indices.extend(dict.fromkeys((*listed, *_NOT_LISTED)))
    return _indices


def _msrs(vcpu: Vcpu, _vm: Vm) -> Part:
    """KVM_GET_MSRS stops at the first that this vCPU does not have: the next call goes on there."""
    parts: dict[str, int] = {}
    left = msr_indices()
    while left:
        msrs = ffi.new("struct kvm_msrs *", {"entries": len(left)})
        msrs.nmsrs = len(left)
        for place, index in enumerate(left):
            msrs.entries[place].index = index
        count = vcpu.ioctl("KVM_GET_MSRS", msrs)
        for entry in msrs.entries[0:count]:
            parts[f"{entry.index:#x}"] = int(entry.data)
        left = left[count + 1 :]
    return parts


def _lapic(vcpu: Vcpu, _vm: Vm) -> Part:
    page = bytes(ffi.buffer(ioctls.get_lapic(vcpu)))
    return {
        f"{place:#x}": _number(page[place : place + 4]) for place in range(0, len(page), _APIC_STEP)
    }


def _chips(_vcpu: Vcpu, vm: Vm) -> Part:
    parts: dict[str, int] = {}
    for number, name in enumerate(_CHIPS):
        chip = ffi.new("struct kvm_irqchip *")
        chip.chip_id = number
        vm.ioctl("KVM_GET_IRQCHIP", chip)
        own = bytes(ffi.buffer(chip))[_CHIP_HEAD:]
        if name == "ioapic":
            base, select, identity, irr = struct.unpack_from("=QIII", own)
            pins = struct.unpack_from(f"={_IOAPIC_PINS}Q", own, 24)
            parts |= {f"{name} base": base, f"{name} ioregsel": select}
            parts |= {f"{name} id": identity, f"{name} irr": irr}
            parts |= {f"{name} pin {pin}": bits for pin, bits in enumerate(pins)}
        else:
            parts |= {f"{name} {field}": own[at] for at, field in enumerate(_PIC_FIELDS)}
    return parts


def _pit(_vcpu: Vcpu, vm: Vm) -> Part:
    found = ffi.new("struct kvm_pit_state2 *")
    vm.ioctl("KVM_GET_PIT2", found)
    return state.fields(found)


def _clock(_vcpu: Vcpu, vm: Vm) -> Part:
    found = ffi.new("struct kvm_clock_data *")
    vm.ioctl("KVM_GET_CLOCK", found)
    return {"": int(found.clock), "flags": int(found.flags)}


def _nested(vcpu: Vcpu, vm: Vm) -> Part:
    """In words of 8 bytes, as many as KVM says that it wrote."""
    if not vm.check_extension("KVM_CAP_NESTED_STATE"):
        return {}
    room = ffi.new("uint64_t[]", LARGEST_NESTED // 8)
    found = ffi.cast("struct kvm_nested_state *", room)
    found.size = LARGEST_NESTED
    vcpu.ioctl("KVM_GET_NESTED_STATE", found)
    return {f"+{8 * word:#x}": int(room[word]) for word in range((found.size + 7) // 8)}


def _mp_state(vcpu: Vcpu, _vm: Vm) -> Part:
    return {"": vcpu.mp_state()}


def _cpuid(vcpu: Vcpu, _vm: Vm) -> Part:
    """By leaf and subleaf, with the bits that follow CR4, XCR0 and APIC_BASE."""
    found = ioctls.get_cpuid(vcpu)
    parts: dict[str, int] = {}
    # By hand, for an emulated host: there are a hundred entries, and this is read often.
    raw = bytes(ffi.buffer(found.entries))[: _CPUID_ENTRY.size * found.nent]
    for function, index, *values in _CPUID_ENTRY.iter_unpack(raw):
        parts.update(zip(_cpuid_names(function, index), values, strict=True))
    return parts


@functools.cache
def _cpuid_names(function: int, index: int) -> tuple[str, ...]:
    return tuple(f"{function:#x}.{index}.{name}" for name in ("eax", "ebx", "ecx", "edx"))


def _tsc_khz(vcpu: Vcpu, _vm: Vm) -> Part:
    return {"": ioctls.tsc_khz(vcpu)}


def _tsc_offset(vcpu: Vcpu, _vm: Vm) -> Part:
    """On a host whose TSC is unstable each call sets it anew, and it is no part."""
    first, second = clocks.tsc_offset(vcpu), clocks.tsc_offset(vcpu)
    return {"": second} if first == second else {}


#: What KVM counts of the guest. The others are left out: see `NOT_READ`.
_STATISTICS = (
    *("pf_taken", "pf_fixed", "pf_emulate", "pf_spurious", "pf_fast", "pf_mmio_spte_created"),
    *("pf_guest", "invlpg", "exits", "io_exits", "mmio_exits", "signal_exits", "irq_exits"),
    *("irq_window_exits", "nmi_window_exits", "request_irq_exits", "notify_window_exits"),
    *("halt_exits", "halt_successful_poll", "halt_attempted_poll", "halt_poll_invalid"),
    *("halt_wakeup", "halt_poll_success_ns", "halt_poll_fail_ns", "halt_wait_ns", "blocking"),
    *("insn_emulation", "insn_emulation_fail", "hypercalls", "irq_injections", "nmi_injections"),
    *("req_event", "nested_run", "guest_mode", "directed_yield_attempted"),
    *("directed_yield_successful", "host_state_reload", "fpu_reload", "preemption_reported"),
    "preemption_other",
)


def _statistics(vcpu: Vcpu, vm: Vm) -> Part:
    return parts.statistics(vcpu, vm, _STATISTICS)


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


_PARTS: Mapping[str, Read] = {
    "regs": _flat("KVM_GET_REGS", "kvm_regs"),
    "sregs": _flat("KVM_GET_SREGS", "kvm_sregs"),
    "sregs2": _sregs2,
    "fpu": _flat("KVM_GET_FPU", "kvm_fpu"),
    "xsave": _xsave,
    "xcrs": _xcrs,
    "debugregs": _flat("KVM_GET_DEBUGREGS", "kvm_debugregs"),
    "msr": _msrs,
    "lapic": _lapic,
    "events": _flat("KVM_GET_VCPU_EVENTS", "kvm_vcpu_events"),
    "mp_state": _mp_state,
    "nested": _nested,
    "chip": _chips,
    "pit": _pit,
    "clock": _clock,
    "cpuid": _cpuid,
    "tsc_khz": _tsc_khz,
    "tsc_offset": _tsc_offset,
    "statistic": _statistics,
}
