/* SPDX-License-Identifier: GPL-2.0-only */
/* ppc64le: see arch.h. Kicks "by itself" are left out: a thread cannot single-step itself there. */
#ifndef KE_ARCH_PPC64LE_H
#define KE_ARCH_PPC64LE_H

#include <asm/ptrace.h> /* PT_NIP */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* ---- KVM's interface */

#define KE_ARCH_IOCTLS SIZED(KVM_PPC_CONFIGURE_V3_MMU, struct kvm_ppc_mmuv3_cfg),

/* A vCPU of KVM-HV runs no guest but one of PAPR: EINVAL without. */
static inline long ke_arch_ready(int vcpu)
{
	struct kvm_enable_cap papr = {.cap = KVM_CAP_PPC_PAPR};

	return ioctl(vcpu, KVM_ENABLE_CAP, &papr) ? -errno : 0;
}

/* A hypercall that waits for its result. */
static inline int ke_hcall_answer(struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_PAPR_HCALL)
		return 0;
	run->papr_hcall.ret = 0;
	return 1;
}

#define KE_ARCH_READY(vm, vcpu) ((void)(vm), ke_arch_ready(vcpu))
#define KE_ARCH_ANSWER(run) ke_hcall_answer(run)
/* Low priority, and medium again. */
#define KE_ARCH_RELAX() __asm__ volatile("or 1,1,1\n\tor 2,2,2")

/* ---- KVM_RUN, by name */

#define KE_ARCH_NAMES_CALL 1
#define KE_ARCH_PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.gp_regs[PT_NIP])

/* The summary overflow of cr0 says that r3 is an errno. */
static inline __attribute__((always_inline)) long
ke_arch_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	register long number __asm__("r0") = SYS_ioctl;
	register long result __asm__("r3") = fd;
	register unsigned long request __asm__("r4") = KVM_RUN;
	register unsigned long argument __asm__("r5") = 0;

	__asm__ volatile(".globl ke_enter_call\n\t"
			 ".hidden ke_enter_call\n\t"
			 ".globl ke_enter_return\n\t"
			 ".hidden ke_enter_return\n"
			 "ke_enter_call:\n\t"
			 "sc\n"
			 "ke_enter_return:\n\t"
			 "stw %[after], 0(%[phase])\n\t"
			 "bns+ 1f\n\t"
			 "neg 3, 3\n"
			 "1:"
			 : "+r"(number), "+r"(result), "+r"(request), "+r"(argument)
			 : [phase] "b"(phase), [after] "r"(after)
			 : "r6", "r7", "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "xer",
			   "memory");
	return result;
}

#endif
