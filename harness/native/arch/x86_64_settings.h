/* SPDX-License-Identifier: GPL-2.0-only */
/* x86-64: what userspace may set of a VM and a vCPU besides its state: see x86_64_settings.cdef. */
#ifndef KE_ARCH_X86_64_SETTINGS_H
#define KE_ARCH_X86_64_SETTINGS_H

#include <linux/kvm.h>

/* ---- constants that older headers lack (compat.h) */

#ifndef KVM_CAP_X86_BUS_LOCK_EXIT /* 5.12 */
#define KVM_CAP_X86_BUS_LOCK_EXIT 193
#endif
#ifndef KVM_BUS_LOCK_DETECTION_EXIT /* 5.12 */
#define KVM_BUS_LOCK_DETECTION_EXIT (1 << 1)
#endif
#ifndef KVM_CAP_HYPERV_ENFORCE_CPUID /* 5.14 */
#define KVM_CAP_HYPERV_ENFORCE_CPUID 199
#endif
#ifndef KVM_CAP_EXIT_ON_EMULATION_FAILURE /* 5.14 */
#define KVM_CAP_EXIT_ON_EMULATION_FAILURE 204
#endif
#ifndef KVM_VCPU_TSC_CTRL /* 5.16 */
#define KVM_VCPU_TSC_CTRL 0
#define KVM_VCPU_TSC_OFFSET 0
#endif
#ifndef KVM_CAP_PMU_CAPABILITY /* 5.18 */
#define KVM_CAP_PMU_CAPABILITY 212
#endif
#ifndef KVM_CAP_X86_NOTIFY_VMEXIT /* 6.0 */
#define KVM_CAP_X86_NOTIFY_VMEXIT 219
#endif
#ifndef KVM_CAP_VM_DISABLE_NX_HUGE_PAGES /* 6.1 */
#define KVM_CAP_VM_DISABLE_NX_HUGE_PAGES 220
#endif
#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS /* 6.11 */
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#endif

#define KE_ARCH_SETTINGS                                                                           \
	SIZED(KVM_CREATE_PIT2, struct kvm_pit_config), PLAIN(KVM_REINJECT_CONTROL),                \
		SIZED(KVM_XEN_HVM_CONFIG, struct kvm_xen_hvm_config),                              \
		SIZED(KVM_SET_PMU_EVENT_FILTER, struct kvm_pmu_event_filter),                      \
		SIZED(KVM_TPR_ACCESS_REPORTING, struct kvm_tpr_access_ctl),                        \
		SIZED(KVM_SET_VAPIC_ADDR, struct kvm_vapic_addr), SIZED(KVM_X86_SETUP_MCE, __u64), \
		SIZED(KVM_SET_CLOCK, struct kvm_clock_data), PLAIN(KVM_SET_TSC_KHZ),               \
		SIZED(KVM_SET_PIT2, struct kvm_pit_state2), PLAIN(KVM_SET_NR_MMU_PAGES),           \
		PLAIN(KVM_SET_BOOT_CPU_ID), PLAIN(KVM_KVMCLOCK_CTRL),

#endif
