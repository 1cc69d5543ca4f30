/* SPDX-License-Identifier: GPL-2.0-only */
/* riscv64: see arch.h. A thread cannot single-step itself there, so kicks "by itself" are left out.
 */
#ifndef KE_ARCH_RISCV64_H
#define KE_ARCH_RISCV64_H

#include <sys/syscall.h>

/* ---- constants that older headers lack (compat.h) */

#ifndef KVM_DEV_TYPE_RISCV_AIA /* 6.5 */
#define KVM_DEV_TYPE_RISCV_AIA 12
#define KVM_DEV_RISCV_AIA_GRP_CONFIG 0
#define KVM_DEV_RISCV_AIA_CONFIG_IDS 1
#define KVM_DEV_RISCV_AIA_CONFIG_HART_BITS 5
#define KVM_DEV_RISCV_AIA_GRP_ADDR 1
#define KVM_DEV_RISCV_AIA_GRP_CTRL 2
#define KVM_DEV_RISCV_AIA_CTRL_INIT 0
#define KVM_DEV_RISCV_AIA_GRP_IMSIC 4
#endif
#ifndef KVM_REG_RISCV_SBI_EXT /* 6.4 */
#define KVM_REG_RISCV_SBI_EXT (0x08 << KVM_REG_RISCV_TYPE_SHIFT)
#endif

/* ---- KVM's interface */

/* A call of the SBI that waits for its results: error and value. */
static inline int ke_sbi_answer(struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_RISCV_SBI)
		return 0;
	ke_riscv_sbi(run)->ret[0] = 0;
	ke_riscv_sbi(run)->ret[1] = 0;
	return 1;
}

#define KE_ARCH_ANSWER(run) ke_sbi_answer(run)
/* Zihintpause's pause: for a processor without it, a fence that does nothing. */
#define KE_ARCH_RELAX() __asm__ volatile(".4byte 0x0100000f")

/* ---- KVM_RUN, by name */

#define KE_ARCH_NAMES_CALL 1
#define KE_ARCH_PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.__gregs[REG_PC])

static inline __attribute__((always_inline)) long
ke_arch_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	register long result __asm__("a0") = fd;
	register unsigned long request __asm__("a1") = KVM_RUN;
	register unsigned long argument __asm__("a2") = 0;
	register long number __asm__("a7") = SYS_ioctl;

	__asm__ volatile(".globl ke_enter_call\n\t"
			 ".hidden ke_enter_call\n\t"
			 ".globl ke_enter_return\n\t"
			 ".hidden ke_enter_return\n"
			 "ke_enter_call:\n\t"
			 "ecall\n"
			 "ke_enter_return:\n\t"
			 "sw %[after], (%[phase])"
			 : "+r"(result)
			 : "r"(request), "r"(argument),
			   "r"(number), [phase] "r"(phase), [after] "r"(after)
			 : "memory");
	return result;
}

#endif
