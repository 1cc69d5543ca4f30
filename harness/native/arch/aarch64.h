/* SPDX-License-Identifier: GPL-2.0-only */
/* arm64: see arch.h. A thread cannot single-step itself there, so kicks "by itself" are left out.
 */
#ifndef KE_ARCH_AARCH64_H
#define KE_ARCH_AARCH64_H

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* ---- constants that older headers lack (compat.h) */

#ifndef KVM_ARM_VM_SMCCC_CTRL /* 6.4 */
#define KVM_ARM_VM_SMCCC_CTRL 0
#define KVM_ARM_VM_SMCCC_FILTER 0
enum kvm_smccc_filter_action {
	KVM_SMCCC_FILTER_HANDLE = 0,
	KVM_SMCCC_FILTER_DENY,
	KVM_SMCCC_FILTER_FWD_TO_USER,
};
struct kvm_smccc_filter {
	__u32 base;
	__u32 nr_functions;
	__u8 action;
	__u8 pad[15];
};
#endif
#ifndef KVM_HYPERCALL_EXIT_SMC /* 6.4 */
#define KVM_HYPERCALL_EXIT_SMC (1U << 0)
#endif
#ifndef KVM_CAP_ARM_SYSTEM_SUSPEND /* 5.19 */
#define KVM_CAP_ARM_SYSTEM_SUSPEND 216
#define KVM_SYSTEM_EVENT_SUSPEND 5
#define KVM_MP_STATE_SUSPENDED 10
#endif
#ifndef KVM_REG_ARM_FW_FEAT_BMAP /* 6.0 */
#define KVM_REG_ARM_FW_FEAT_BMAP (0x0016 << KVM_REG_ARM_COPROC_SHIFT)
#endif
#ifndef KVM_CAP_COUNTER_OFFSET /* 6.4 */
#define KVM_CAP_COUNTER_OFFSET 227
#endif
#ifndef KVM_CAP_ARM_EL2 /* 6.16 */
#define KVM_CAP_ARM_EL2 240
#endif
#ifndef KVM_ARM_VCPU_HAS_EL2 /* 6.3 */
#define KVM_ARM_VCPU_HAS_EL2 7
#endif

/* ---- KVM's interface */

#define KE_ARCH_IOCTLS                                                                             \
	SIZED(KVM_ARM_PREFERRED_TARGET, struct kvm_vcpu_init),                                     \
		SIZED(KVM_ARM_VCPU_INIT, struct kvm_vcpu_init), SIZED(KVM_ARM_VCPU_FINALIZE, int), \
		SIZED(KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events),                                \
		SIZED(KVM_SET_VCPU_EVENTS, struct kvm_vcpu_events),

/* KVM_RUN of a vCPU without it gives ENOEXEC before it looks at the byte. */
static inline long ke_arch_ready(int vm, int vcpu)
{
	struct kvm_vcpu_init init = {0};

	if (ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) || ioctl(vcpu, KVM_ARM_VCPU_INIT, &init))
		return -errno;
	return 0;
}

#define KE_ARCH_READY(vm, vcpu) ke_arch_ready(vm, vcpu)
#define KE_ARCH_RELAX() __asm__ volatile("yield")
#define KE_ARCH_THREAD "arch/aarch64_thread.h" /* what calling_thread.c needs */

/* ---- KVM_RUN, by name */

#define KE_ARCH_NAMES_CALL 1
#define KE_ARCH_PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.pc)

static inline __attribute__((always_inline)) long
ke_arch_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	register long result __asm__("x0") = fd;
	register unsigned long request __asm__("x1") = KVM_RUN;
	register unsigned long argument __asm__("x2") = 0;
	register long number __asm__("x8") = SYS_ioctl;

	__asm__ volatile(".globl ke_enter_call\n\t"
			 ".hidden ke_enter_call\n\t"
			 ".globl ke_enter_return\n\t"
			 ".hidden ke_enter_return\n"
			 "ke_enter_call:\n\t"
			 "svc #0\n"
			 "ke_enter_return:\n\t"
			 "str %w[after], [%[phase]]"
			 : "+r"(result)
			 : "r"(request), "r"(argument),
			   "r"(number), [phase] "r"(phase), [after] "r"(after)
			 : "memory");
	return result;
}

#endif
