/* SPDX-License-Identifier: GPL-2.0-only */
/* x86-64: see arch.h. */
#ifndef KE_ARCH_X86_64_H
#define KE_ARCH_X86_64_H

#include <linux/kvm_para.h>
#include <sys/syscall.h>

#include "x86_64_settings.h"

/* ---- constants that older headers lack (compat.h) */

#ifndef KVM_HC_MAP_GPA_RANGE /* 5.14 */
#define KVM_HC_MAP_GPA_RANGE 12
#endif
#ifndef KVM_CAP_SREGS2 /* 5.14 */
#define KVM_CAP_SREGS2 200
#define KVM_GET_SREGS2 _IOR(KVMIO, 0xcc, struct kvm_sregs2)
struct kvm_sregs2 {
	struct kvm_segment cs, ds, es, fs, gs, ss;
	struct kvm_segment tr, ldt;
	struct kvm_dtable gdt, idt;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 apic_base;
	__u64 flags;
	__u64 pdptrs[4];
};
#endif
#ifndef KVM_X86_SW_PROTECTED_VM /* 6.8 */
#define KVM_X86_SW_PROTECTED_VM 1
#endif
#ifndef KVM_CAP_DISABLE_QUIRKS2 /* 5.18 */
#define KVM_CAP_DISABLE_QUIRKS2 213
#endif
#ifndef KVM_X86_QUIRK_FIX_HYPERCALL_INSN /* 5.19 */
#define KVM_X86_QUIRK_FIX_HYPERCALL_INSN (1 << 5)
#endif
#ifndef KVM_CAP_X86_TRIPLE_FAULT_EVENT /* 6.0 */
#define KVM_CAP_X86_TRIPLE_FAULT_EVENT 218
#endif
#ifndef KVM_VCPUEVENT_VALID_TRIPLE_FAULT /* 6.0 */
#define KVM_VCPUEVENT_VALID_TRIPLE_FAULT 0x00000020
#endif
#ifndef KVM_CAP_X86_GUEST_MODE /* 6.11 */
#define KVM_CAP_X86_GUEST_MODE 238
#endif
#ifndef KVM_RUN_X86_GUEST_MODE /* 6.11 */
#define KVM_RUN_X86_GUEST_MODE (1 << 2)
#endif

/* ---- KVM's interface */

#define KE_ARCH_IOCTLS                                                                            \
	PLAIN(KVM_CREATE_IRQCHIP), PLAIN(KVM_SET_TSS_ADDR),                                       \
		SIZED(KVM_SET_IDENTITY_MAP_ADDR, __u64), PLAIN(KVM_NMI), PLAIN(KVM_SMI),          \
		PLAIN(KVM_GET_TSC_KHZ), SIZED(KVM_GET_SUPPORTED_CPUID, struct kvm_cpuid2),        \
		SIZED(KVM_SET_CPUID2, struct kvm_cpuid2),                                         \
		SIZED(KVM_GET_CPUID2, struct kvm_cpuid2), SIZED(KVM_GET_SREGS, struct kvm_sregs), \
		SIZED(KVM_SET_SREGS, struct kvm_sregs), SIZED(KVM_GET_MSRS, struct kvm_msrs),     \
		SIZED(KVM_SET_MSRS, struct kvm_msrs),                                             \
		SIZED(KVM_GET_LAPIC, struct kvm_lapic_state),                                     \
		SIZED(KVM_SET_LAPIC, struct kvm_lapic_state),                                     \
		SIZED(KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events),                               \
		SIZED(KVM_SET_VCPU_EVENTS, struct kvm_vcpu_events),                               \
		SIZED(KVM_X86_SET_MSR_FILTER, struct kvm_msr_filter),                             \
		SIZED(KVM_GET_MSR_INDEX_LIST, struct kvm_msr_list),                               \
		SIZED(KVM_GET_FPU, struct kvm_fpu), SIZED(KVM_GET_XSAVE, struct kvm_xsave),       \
		SIZED(KVM_SET_XSAVE, struct kvm_xsave), SIZED(KVM_GET_XCRS, struct kvm_xcrs),     \
		SIZED(KVM_SET_XCRS, struct kvm_xcrs),                                             \
		SIZED(KVM_GET_DEBUGREGS, struct kvm_debugregs),                                   \
		SIZED(KVM_SET_DEBUGREGS, struct kvm_debugregs),                                   \
		SIZED(KVM_GET_IRQCHIP, struct kvm_irqchip),                                       \
		SIZED(KVM_SET_IRQCHIP, struct kvm_irqchip),                                       \
		SIZED(KVM_GET_PIT2, struct kvm_pit_state2),                                       \
		SIZED(KVM_GET_CLOCK, struct kvm_clock_data),                                      \
		SIZED(KVM_GET_SREGS2, struct kvm_sregs2),                                         \
		SIZED(KVM_SET_GSI_ROUTING, struct kvm_irq_routing),                               \
		SIZED(KVM_SET_NESTED_STATE, struct kvm_nested_state),                             \
		SIZED(KVM_GET_NESTED_STATE, struct kvm_nested_state), KE_ARCH_SETTINGS

/* kvm_run's "s" is of a type that only an architecture knows. */
static inline struct kvm_sync_regs *ke_sync_regs(struct kvm_run *run)
{
	return &run->s.regs;
}

/* events.triple_fault.pending, which headers before 6.0 do not name: the byte behind "smi". */
static inline uint8_t *ke_triple_fault(struct kvm_vcpu_events *events)
{
	return (uint8_t *)(&events->smi + 1);
}

/* The debug registers of KVM_SET_GUEST_DEBUG, 0 to 7, in a part that only an architecture knows. */
static inline unsigned long long *ke_debug_registers(struct kvm_guest_debug *debug)
{
	return debug->arch.debugreg;
}

/* The programs speak by ports; an IN waits for a byte. */
static inline int ke_port_answer(struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_IO)
		return 0;
	if (run->io.direction == KVM_EXIT_IO_IN)
		*((uint8_t *)run + run->io.data_offset) = 1;
	return 1;
}

#define KE_ARCH_ANSWER(run) ke_port_answer(run)
#define KE_ARCH_RELAX() __builtin_ia32_pause()
#define KE_ARCH_THREAD "arch/x86_64_thread.h" /* what calling_thread.c needs */

/* ---- KVM_RUN, by name */

#define KE_ARCH_NAMES_CALL 1
#define KE_ARCH_PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.gregs[REG_RIP])

static inline __attribute__((always_inline)) long
ke_arch_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	long result;

	__asm__ volatile(".globl ke_enter_call\n\t"
			 ".hidden ke_enter_call\n\t"
			 ".globl ke_enter_return\n\t"
			 ".hidden ke_enter_return\n"
			 "ke_enter_call:\n\t"
			 "syscall\n"
			 "ke_enter_return:\n\t"
			 "movl %[after], (%[phase])"
			 : "=a"(result)
			 : "a"((long)SYS_ioctl), "D"((long)fd), "S"((unsigned long)KVM_RUN),
			   "d"(0L), [phase] "r"(phase), [after] "r"(after)
			 : "rcx", "r11", "memory");
	return result;
}

/* ---- single steps of this thread, by EFLAGS.TF; in line, for a call would be stepped as well */

#define KE_ARCH_STEPS 1
#define KE_ARCH_STEP_NO_MORE(context) ((context)->uc_mcontext.gregs[REG_EFL] &= ~0x100)

/* From the next instruction on each one traps. The red zone below the stack pointer is spared. */
static inline __attribute__((always_inline)) void ke_step_from_here(void)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
}

/* The check saw a kick that landed before it: the rest is not to be stepped. */
static inline __attribute__((always_inline)) void ke_stop_stepping(void)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "andq $~0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
}

/* ---- sweeps: the time-stamp counter, and NOPs of a byte each */

#define KE_ARCH_SWEEPS 1
#define KE_NOPS 512
#define KE_SLIDE_NOPS 4096

static inline uint64_t ke_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

/* So many NOPs, KE_NOPS at most. */
static inline __attribute__((always_inline)) void ke_nops(uint64_t count)
{
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "subq %0, %%rax\n\t"
			 "jmp *%%rax\n\t"
			 ".rept 512\n\t"
			 "nop\n\t"
			 ".endr\n"
			 "1:"
			 :
			 : "r"(count)
			 : "rax", "memory");
}

/* KE_SLIDE_NOPS at a place with a name, so that the program counter tells the number. */
static inline __attribute__((always_inline)) void ke_slide(void)
{
	__asm__ volatile(".globl sw_nops\n\t"
			 ".hidden sw_nops\n"
			 "sw_nops:\n\t"
			 ".rept 4096\n\t"
			 "nop\n\t"
			 ".endr" ::
				 : "memory");
}

/* ---- what KVM_RUN borrows of a thread */

#include "x86_64_thread.h"

#endif
