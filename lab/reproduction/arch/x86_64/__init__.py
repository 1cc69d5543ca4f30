# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the guest in 64-bit mode, its pages mapped one to one, without interrupt tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from guest_blobs import memory_map as at
from harness.kvm.arch.x86_64.devices import (
    MSR,
    PORT_DONE,
    PORT_IN,
    PORT_OUT,
    PORT_STRING_IN,
    PORT_STRING_OUT,
)
from harness.kvm.exits import Hlt, Io, Rdmsr, VcpuExit, Wrmsr
from harness.model.program import Step
from harness.model.x86_64 import MSR_PLACES, PLACES, SCRATCH, STRING
from harness.sequences.arch.x86_64.vm_features import MSR_EXITS
from harness.sequences.operation import Arguments
from harness.sequences.subject import Setting, made_of
from lab.reproduction.arch import UntoldError
from lab.reproduction.telling import Telling

LOG = 0x50000
RESULTS = ("load", "exchange_add", "port_in", "mmio_read", "mmio_add", "get", "msr_read", "flags")
_CODE, _STEPS, _RELEASED, _SPINS = 0x8000, 0x6000, 0x6008, 0x6010
_CHIPS = {
    "none": "",
    "full": '\tmust(ioctl(vm, KVM_CREATE_IRQCHIP), "KVM_CREATE_IRQCHIP");\n',
    "split": "\tmust(ioctl(vm, KVM_ENABLE_CAP, &(struct kvm_enable_cap){.cap = "
    'KVM_CAP_SPLIT_IRQCHIP,\n\t\t\t.args = {24}}), "KVM_CAP_SPLIT_IRQCHIP");\n',
}
_MSR_EXITS = """\
	must(ioctl(vm, KVM_ENABLE_CAP, &(struct kvm_enable_cap){.cap = KVM_CAP_X86_USER_SPACE_MSR,
			.args = {KVM_MSR_EXIT_REASON_FILTER}}), "KVM_CAP_X86_USER_SPACE_MSR");
	must(ioctl(vm, KVM_X86_SET_MSR_FILTER, &(struct kvm_msr_filter){.ranges = {{
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = 1,
			.base = 0xc0001f00, .bitmap = (uint8_t[8]){0}}}}), "KVM_X86_SET_MSR_FILTER");
"""
_SUFFIX = {1: ("b", "al"), 2: ("w", "ax"), 4: ("l", "eax"), 8: ("q", "rax")}

CONSTANTS = f"""\
enum {{
	RAM = {at.RAM_SIZE:#x},
	CODE = {_CODE:#x},
	STEPS = {_STEPS:#x}, /* the guest counts its steps */
	RELEASED = {_RELEASED:#x}, /* a step that waits goes on when this is its number */
	SPINS = {_SPINS:#x}, /* it counts while it waits */
	STRING = {STRING:#x},
}};
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
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
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
}


def set_up(setting: Setting) -> tuple[str, set[str]]:
    """C: `set_up()` of a VM, and the blocks that it needs. Raises `UntoldError`."""
    before, after, blocks = _CHIPS[setting.irqchip], "", set[str]()
    for name in setting.features:
        if name == MSR_EXITS:
            before += _MSR_EXITS
        elif name in FEATURES:
            lines, block = FEATURES[name]
            after += f"\t{lines}\n"
            blocks |= {block} - {""}
        else:
            raise UntoldError(f"a VM with {name}")
    return _SETUP.replace("@VM@", before).replace("@MORE@", after), blocks


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
    if refuse:
        raise UntoldError("an MSR that is refused: it needs interrupt tables")
    name, data = ("RDMSR", answer) if isinstance(wanted, Rdmsr) else ("WRMSR", wanted.data)
    tell.say(f"leaves_by({how}, KVM_EXIT_X86_{name});", needs=("leaves",))
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


def assembly(scripts: Sequence[Sequence[Step]]) -> list[str]:
    """All scripts, one behind the other; the last one begins anew. Raises `UntoldError`."""
    lines = [".code64"]
    for number, script in enumerate(scripts):
        lines.append(f"script{number}:")
        for place, step in enumerate(script):
            if step.name not in _STEPS_OF:
                raise UntoldError(f"the step {step.name}")
            lines += _STEPS_OF[step.name](step, f"{number}_{place}", LOG + 8 * place)
            if step.name != "end":
                lines.append(f"incq {_STEPS:#x}")
    return [*lines, f"jmp script{len(scripts) - 1}"]


def _number(value: int, register: str = "rax") -> str:
    return f"movabs ${value:#x}, %{register}"


def _logged(place: int) -> str:
    return f"mov %rax, {place:#x}"


def _nothing(step: Step, label: str, log: int) -> list[str]:
    return []


def _store(step: Step, label: str, log: int) -> list[str]:
    return [_number(step.value), f"mov %rax, {SCRATCH + step.operand:#x}"]


def _load(step: Step, label: str, log: int) -> list[str]:
    return [f"mov {SCRATCH + step.operand:#x}, %rax", _logged(log)]


def _exchange_add(step: Step, label: str, log: int) -> list[str]:
    return [
        _number(step.value),
        f"lock xadd %rax, {SCRATCH + step.operand:#x}",
        _logged(log),
    ]


def _port_out(step: Step, label: str, log: int) -> list[str]:
    suffix, register = _SUFFIX[step.operand]
    return [_number(step.value), f"out{suffix} %{register}, ${PORT_OUT:#x}"]


def _port_in(step: Step, label: str, log: int) -> list[str]:
    suffix, register = _SUFFIX[step.operand]
    return [_number(step.value), f"in{suffix} ${PORT_IN:#x}, %{register}", _logged(log)]


def _mmio(step: Step) -> tuple[str, str]:
    """The register of an access, and its address."""
    return _SUFFIX[step.operand >> 16][1], f"{at.MMIO_BASE + (step.operand & 0xFFFF):#x}"


def _mmio_write(step: Step, label: str, log: int) -> list[str]:
    register, address = _mmio(step)
    return [_number(step.value), f"mov %{register}, {address}"]


def _mmio_read(step: Step, label: str, log: int) -> list[str]:
    register, address = _mmio(step)
    return [_number(step.value), f"mov {address}, %{register}", _logged(log)]


def _mmio_add(step: Step, label: str, log: int) -> list[str]:
    return [
        _number(step.value),
        f"add %rax, {at.MMIO_BASE + step.operand:#x}",
        *("pushfq", "pop %rax", "and $0x41, %eax", _logged(log)),
    ]


def _mmio_move(step: Step, label: str, log: int) -> list[str]:
    source = at.MMIO_BASE + step.operand
    moved = [f"mov ${source:#x}, %esi", f"mov ${source + 0x800:#x}, %edi", "movsq"]
    return ["push %rsi", "push %rdi", *moved, "pop %rdi", "pop %rsi"]


def _string(step: Step, register: str, port: int, move: str) -> list[str]:
    return [
        f"push %r{register}",
        f"mov ${STRING:#x}, %e{register}",
        f"mov ${port:#x}, %dx",
        f"mov ${step.operand}, %ecx",
        f"rep {move}",
        f"pop %r{register}",
    ]


def _string_out(step: Step, label: str, log: int) -> list[str]:
    return _string(step, "si", PORT_STRING_OUT, "outsb")


def _string_in(step: Step, label: str, log: int) -> list[str]:
    return _string(step, "di", PORT_STRING_IN, "insb")


def _write_msr(index: int, value: int) -> list[str]:
    return [
        f"mov ${index:#x}, %ecx",
        f"mov ${value & 0xFFFFFFFF:#x}, %eax",
        f"mov ${value >> 32:#x}, %edx",
        "wrmsr",
    ]


def _read_msr(index: int, log: int) -> list[str]:
    joined = ["shl $32, %rdx", "or %rdx, %rax", _logged(log)]
    return [f"mov ${index:#x}, %ecx", "rdmsr", *joined]


def _put(step: Step, label: str, log: int) -> list[str]:
    place = PLACES[step.operand]
    if place in MSR_PLACES:
        return _write_msr(MSR_PLACES[place], step.value)
    if place.startswith("xmm"):
        return [
            _number(step.value),
            *("push %rax", "push %rax", f"movups (%rsp), %{place}", "add $16, %rsp"),
        ]
    if place.startswith(("dr", "cr")):
        return [_number(step.value), f"mov %rax, %{place}"]
    return [_number(step.value, place)]


def _get(step: Step, label: str, log: int) -> list[str]:
    place = PLACES[step.operand]
    if place in MSR_PLACES:
        return _read_msr(MSR_PLACES[place], log)
    if place.startswith("xmm"):
        return ["sub $16, %rsp", f"movups %{place}, (%rsp)", "pop %rax", "pop %rcx", _logged(log)]
    return [f"mov %{place}, %rax", _logged(log)]


def _flags(step: Step, label: str, log: int) -> list[str]:
    return ["pushfq", "pop %rax", "and $0x200, %eax", _logged(log)]


def _wait(step: Step, label: str, log: int) -> list[str]:
    return [
        f"wait{label}:",
        f"incq {_SPINS:#x}",
        f"cmpl ${step.operand}, {_RELEASED:#x}",
        f"jb wait{label}",
    ]


def _end(step: Step, label: str, log: int) -> list[str]:
    return ["xor %eax, %eax", f"outb %al, ${PORT_DONE:#x}"]


_STEPS_OF: Mapping[str, Callable[[Step, str, int], list[str]]] = {
    "end": _end,
    "compute": _nothing,
    "store": _store,
    "load": _load,
    "exchange_add": _exchange_add,
    "port_out": _port_out,
    "port_in": _port_in,
    "mmio_write": _mmio_write,
    "mmio_read": _mmio_read,
    "mmio_add": _mmio_add,
    "mmio_move": _mmio_move,
    "string_out": _string_out,
    "string_in": _string_in,
    "msr_write": lambda step, label, log: _write_msr(MSR, step.value),
    "msr_read": lambda step, label, log: _read_msr(MSR, log),
    "halt": lambda step, label, log: ["hlt"],
    "put": _put,
    "get": _get,
    "flags": _flags,
    "interrupts_on": lambda step, label, log: ["sti", "nop"],
    "interrupts_off": lambda step, label, log: ["cli"],
    "patch": _nothing,
    "cpuid": _nothing,
    "wait": _wait,
}
