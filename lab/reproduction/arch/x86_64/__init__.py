# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the guest in 64-bit mode, its pages mapped one to one; tables for what interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guest_blobs import memory_map as at
from harness.kvm.arch.x86_64.devices import PORT_STRING_IN, PORT_STRING_OUT
from harness.kvm.exits import Hlt, Io, Rdmsr, VcpuExit, Wrmsr
from harness.model.x86_64 import STRING
from harness.sequences.arch.x86_64.vm_features import (
    ANOTHER_NUMBER,
    MADE_LAST,
    MSR_EXITS,
    RING_BYTES,
)
from harness.sequences.operation import Arguments
from harness.sequences.sequence import Recorded
from harness.sequences.setting import DIRTY_RING, Setting
from harness.sequences.subject import made_of
from lab.reproduction.arch import UntoldError
from lab.reproduction.arch.x86_64 import guest_code
from lab.reproduction.arch.x86_64.guest_code import HANDLERS, LOG, assembly
from lab.reproduction.arch.x86_64.readings import disassembled, reading
from lab.reproduction.telling import Telling

__all__ = [
    "COUNTED",
    "LOG",
    "MORE_LOOKS",
    "SPECIAL_CALLS",
    "assembly",
    "constants",
    "disassembled",
    "handlers",
    "interrupted",
    "operations",
    "other_exit",
    "reading",
    "results",
    "set_up",
    "vcpus",
]

COUNTED: Mapping[str, str] = {"interrupts": "TICKS", "NMIs": "NMIS"}
MORE_LOOKS: Mapping[str, str] = {"msr 0x": "msrs", "lapic 0x": "apic", "xsave ": "xsave"}
SPECIAL_CALLS: Mapping[str, tuple[str, str]] = {
    "KVM_SET_CPUID2": ("give_cpuid({of});", "cpuid"),
    "KVM_X86_SET_MSR_FILTER": ("filter_msr({of});", "filter"),
}
_RESULTS = (
    *("load", "exchange_add", "port_in", "mmio_read", "mmio_add", "get", "msr_read", "flags"),
    *("patch", "cpuid", "wide_read", "string_in"),
)
_EXCEPTIONS = ("undefined", "protection", "page_fault", "breakpoint", "traced_in", "traced_read")
_CODE, _GDT, _IDT = 0x8000, 0x7000, 0x7100
_CHIPS = {
    "none": "",
    "full": '\tmust(ioctl(vm, KVM_CREATE_IRQCHIP), "KVM_CREATE_IRQCHIP");\n',
    "split": "\tmust(ioctl(vm, KVM_ENABLE_CAP, &(struct kvm_enable_cap){.cap = "
    'KVM_CAP_SPLIT_IRQCHIP,\n\t\t\t.args = {24}}), "KVM_CAP_SPLIT_IRQCHIP");\n',
}
_MSR_EXITS = """\
	must(ioctl(vm, KVM_ENABLE_CAP, &(struct kvm_enable_cap){.cap = KVM_CAP_X86_USER_SPACE_MSR,
			.args = {KVM_MSR_EXIT_REASON_FILTER}}), "KVM_CAP_X86_USER_SPACE_MSR");
	filter_msr();
"""

_CONSTANTS = f"""\
enum {{
	RAM = {at.RAM_SIZE:#x},
	CODE = {_CODE:#x},
	STEPS = {guest_code.STEPS_DONE:#x}, /* the guest counts its steps */
	RELEASED = {guest_code.RELEASED:#x}, /* a step that waits goes on when this is its number */
	SPINS = {guest_code.SPINS:#x}, /* it counts while it waits */
	WRITTEN = {guest_code.WRITTEN:#x}, /* scripts that it may go on with */
	STRING = {STRING:#x},
@MORE@}};
"""
_OF_TABLES = f"""\
	TICKS = {guest_code.TICKS:#x}, NMIS = {guest_code.NMIS:#x}, /* it counts what it takes */
	GDT = {_GDT:#x}, IDT = {_IDT:#x},
"""

_SETUP = """\
static void set_up(void)
{
	struct kvm_userspace_memory_region region = {.memory_size = RAM};
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	struct kvm_sregs sregs;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = {.head = {.nent = 256}};

	kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (uintptr_t)ram;
	must(ram == MAP_FAILED ? -1 : 0, "mmap");
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	memcpy(ram + CODE, guest, sizeof(guest));
	for (int place = 0; place < 64; place++)
		ram[STRING + place] = (uint8_t)place;
	*word(0x1000) = 0x2003; /* page tables: the first 2 MiB, one to one */
	*word(0x2000) = 0x3003;
	*word(0x3000) = 0x83;
@VM@	vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size"),
			PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run == MAP_FAILED ? -1 : 0, "mmap of kvm_run");
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = (struct kvm_segment){.selector = 8, .limit = ~0u, .type = 11, .present = 1,
					.s = 1, .l = 1, .g = 1};
	sregs.ds = (struct kvm_segment){.selector = 16, .limit = ~0u, .type = 3, .present = 1,
					.s = 1, .db = 1, .g = 1};
	sregs.es = sregs.ss = sregs.fs = sregs.gs = sregs.ds;
	sregs.cr0 = 0x80000033;
	sregs.cr3 = 0x1000;
	sregs.cr4 = 0x620; /* PAE, and SSE */
	sregs.efer = 0x500;
@TABLES@	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	regs.rsp = 0x5000;
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
@MORE@}
"""

#: What a VM may have besides: lines at the end of `set_up()`, and the blocks that they need.
FEATURES: Mapping[str, tuple[str, str]] = {
    "far_memory": ("add_memory(1, 1ull << 33, 0);", "region"),
    "read_only_memory": ("add_memory(2, 0x400000, KVM_MEM_READONLY);", "region"),
    "writes_collected": (
        "ioctl(vm, KVM_REGISTER_COALESCED_MMIO,\n"
        "\t      &(struct kvm_coalesced_mmio_zone){.addr = 0x401000, .size = 0x1000});",
        "",
    ),
    "halt_polling": ("enable(KVM_CAP_HALT_POLL, 0);", "capability"),
    "second_vcpu": ('must(ioctl(vm, KVM_CREATE_VCPU, 1), "KVM_CREATE_VCPU");', ""),
    "exception_payload": ("enable(KVM_CAP_EXCEPTION_PAYLOAD, 1);", "capability"),
    "hyperv_guest": ("set_msr(0x40000000, 0x8100000000000000ull);", "msr"),
    "tsc_adjusted": ("set_msr(0x3b, 1000);", "msr"),
    "nonblocking": ("fcntl(vcpu, F_SETFL, O_RDWR | O_NONBLOCK);", ""),
    "writes_signalled": ("signal_writes(0x402000);", "signalled"),
    "assigned_devices": (
        "ioctl(vm, KVM_CREATE_DEVICE, &(struct kvm_create_device){.type = KVM_DEV_TYPE_VFIO});",
        "",
    ),
    "breakpoints": ("set_debug_register(7, 0x4ff);", "debug"),
    "extended_state": ("set_xcr0(7);", "xcr0"),
}


def interrupted(recorded: Recorded) -> bool:
    """Whether something in it may raise an exception, or sends the guest an interrupt or an NMI."""
    raising = {"self_interrupt", *_EXCEPTIONS}
    for each in recorded.done:
        given = each.arguments
        if each.operation in ("interrupt", "nmi") or given.get("refuse"):
            return True
        if raising & {step[0] for step in given.get("steps", ())}:
            return True
    return False


def constants(*, tables: bool) -> str:
    """C: addresses that the skeleton's blocks name."""
    return _CONSTANTS.replace("@MORE@", _OF_TABLES if tables else "")


def results(*, tables: bool) -> tuple[str, ...]:
    """Those whose result is known only to the guest."""
    return (*_RESULTS, *_EXCEPTIONS, "msr_write") if tables else _RESULTS


def handlers(labels: Mapping[str, int]) -> Mapping[int, int]:
    """By where their labels stand in the guest's code."""
    return {vector: _CODE + labels[name] for vector, name in HANDLERS.items()}


def _tables(setting: Setting, handlers: Mapping[int, int]) -> str:
    """C: descriptors, and a gate for each handler."""
    lines = [
        "*word(GDT + 8) = 0x209b0000000000; /* code of 64 bits, and data */",
        "*word(GDT + 16) = 0xcf93000000ffff;",
        "sregs.gdt = (struct kvm_dtable){.base = GDT, .limit = 23};",
        "sregs.idt = (struct kvm_dtable){.base = IDT, .limit = 16 * 33 - 1};",
        *(
            f"*word(IDT + 16 * {vector}) = 0x8e0000080000 + {address:#x}; /* {HANDLERS[vector]} */"
            for vector, address in handlers.items()
        ),
    ]
    if setting.irqchip != "none":
        lines.append("sregs.apic_base |= 0xc00; /* x2APIC */")
    return "".join(f"\t{each}\n" for each in lines)


def set_up(setting: Setting, handlers: Mapping[int, int]) -> tuple[str, set[str]]:
    """C: `set_up()` of a VM, and the blocks that it needs. Raises `UntoldError`."""
    before, after, blocks = _CHIPS[setting.irqchip], "", set[str]()
    for name in setting.features:
        if name == MSR_EXITS:
            before += _MSR_EXITS
            blocks.add("filter")
        elif name == MADE_LAST:
            before += f'\tmust(ioctl(vm, KVM_CREATE_VCPU, {ANOTHER_NUMBER}), "KVM_CREATE_VCPU");\n'
        elif name == DIRTY_RING:
            before += f"\tenable(KVM_CAP_DIRTY_LOG_RING, {RING_BYTES});\n"
            blocks.add("capability")
        elif name in FEATURES:
            lines, block = FEATURES[name]
            after += f"\t{lines}\n"
            blocks |= {block} - {""}
        else:
            raise UntoldError(f"a VM with {name}")
    text = _SETUP.replace("@VM@", before).replace("@MORE@", after)
    return text.replace("@TABLES@", _tables(setting, handlers) if handlers else ""), blocks


def operations() -> Mapping[str, Callable[[Telling, Arguments], None]]:
    """Those of x86 only. Late, for they stand on the ones of every architecture."""
    from lab.reproduction.arch.x86_64.changes import OPERATIONS

    return OPERATIONS


def other_exit(tell: Telling, wanted: VcpuExit, how: str, answer: int, *, refuse: bool) -> bytes:
    """That of a port, a halt or an MSR, in C; what passes. Raises `UntoldError`."""
    if isinstance(wanted, Io):
        return _io_exit(tell, wanted, how, answer)
    if isinstance(wanted, Hlt):
        tell.say(f"leaves_by({how}, KVM_EXIT_HLT);", needs=("leaves",))
        return b""
    if not isinstance(wanted, (Rdmsr, Wrmsr)):
        raise UntoldError(f"the exit {wanted}")
    name, data = ("RDMSR", answer) if isinstance(wanted, Rdmsr) else ("WRMSR", wanted.data)
    tell.say(f"leaves_by({how}, KVM_EXIT_X86_{name});", needs=("leaves",))
    if refuse:
        tell.say("run->msr.error = 1;")
        return b""
    if isinstance(wanted, Rdmsr):
        tell.say(f"run->msr.data = {data:#x};")
    tell.say("run->msr.error = 0;")
    return data.to_bytes(8, "little")


def _io_exit(tell: Telling, wanted: Io, how: str, answer: int) -> bytes:
    out, length = int(wanted.is_write), wanted.size * wanted.count
    given = wanted.data if out else made_of(answer, length)
    if wanted.port in (PORT_STRING_IN, PORT_STRING_OUT):
        shape = f"{out}, {wanted.port:#x}, {length}, {answer:#x}"
        tell.say(f"string({how}, {shape});", needs=("string",))
    else:
        call = f"io({how}, {out}, {wanted.port:#x}, {wanted.size}, {wanted.count})"
        tell.pass_bytes(call, "io", given, told=wanted.is_write)
    return given
