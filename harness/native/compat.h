/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Constants that are newer than the oldest header the project builds against (Debian 11's 5.10).
 * They are ABI and never change: each is defined only where the system's header lacks it, beside
 * the kernel version that brought it.
 */
#ifndef KE_COMPAT_H
#define KE_COMPAT_H

#include <linux/kvm.h>

#include "guest_memfd.h"

#ifndef KVM_CAP_SET_GUEST_DEBUG /* before 6.11 only where __KVM_HAVE_GUEST_DEBUG: not on riscv */
#define KVM_CAP_SET_GUEST_DEBUG 23
#endif
#ifndef KVM_MP_STATE_AP_RESET_HOLD /* 5.11 */
#define KVM_MP_STATE_AP_RESET_HOLD 9
#endif
#ifndef KVM_CAP_DIRTY_LOG_RING /* 5.11 */
#define KVM_CAP_DIRTY_LOG_RING 192
#endif
#ifndef KVM_EXIT_XEN /* 5.12 */
#define KVM_EXIT_XEN 34
#define KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL (1 << 1)
struct kvm_xen_exit {
	__u32 type;
	union {
		struct {
			__u32 longmode;
			__u32 cpl;
			__u64 input;
			__u64 result;
			__u64 params[6];
		} hcall;
	} u;
};
#endif
#ifndef KVM_EXIT_DIRTY_RING_FULL /* 5.11 */
#define KVM_EXIT_DIRTY_RING_FULL 31
#endif
#ifndef KVM_RESET_DIRTY_RINGS /* 5.11 */
#define KVM_RESET_DIRTY_RINGS _IO(KVMIO, 0xc7)
struct kvm_dirty_gfn {
	__u32 flags;
	__u32 slot;
	__u64 offset;
};
#endif
#ifndef KVM_DIRTY_GFN_F_DIRTY /* 5.11; _BITUL(0) in the kernel's header */
#define KVM_DIRTY_GFN_F_DIRTY 1UL
#define KVM_DIRTY_GFN_F_RESET 2UL
#endif
/* 5.11; 0 where these headers know of no ring yet. Each architecture that has one says 64. */
#if !defined(KVM_DIRTY_LOG_PAGE_OFFSET) || !KVM_DIRTY_LOG_PAGE_OFFSET
#undef KVM_DIRTY_LOG_PAGE_OFFSET
#define KVM_DIRTY_LOG_PAGE_OFFSET 64
#endif
#ifndef KVM_CAP_EXIT_HYPERCALL /* 5.14 */
#define KVM_CAP_EXIT_HYPERCALL 201
#endif
#ifndef KVM_EXIT_RISCV_SBI /* 5.16 */
#define KVM_EXIT_RISCV_SBI 35
#endif
#ifndef KVM_EXIT_RISCV_CSR /* 6.1 */
#define KVM_EXIT_RISCV_CSR 36
#endif
#ifndef KVM_CAP_BINARY_STATS_FD /* 5.14 */
#define KVM_CAP_BINARY_STATS_FD 203
#endif
#ifndef KVM_GET_STATS_FD /* 5.14 */
#define KVM_GET_STATS_FD _IO(KVMIO, 0xce)
struct kvm_stats_header {
	__u32 flags;
	__u32 name_size;
	__u32 num_desc;
	__u32 id_offset;
	__u32 desc_offset;
	__u32 data_offset;
};
struct kvm_stats_desc {
	__u32 flags;
	__s16 exponent;
	__u16 size;
	__u32 offset;
	__u32 bucket_size;
	char name[];
};
#endif
#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL /* 6.1 */
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif
#ifndef KVM_EXIT_MEMORY_FAULT /* 6.8 */
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/* Parts of kvm_run's union: some that older headers do not name, one with a type of its own. */
struct ke_riscv_sbi {
	__u64 extension_id;
	__u64 function_id;
	__u64 args[6];
	__u64 ret[2];
};

struct ke_riscv_csr {
	__u64 csr_num;
	__u64 new_value;
	__u64 write_mask;
	__u64 ret_value;
};

static inline struct ke_riscv_sbi *ke_riscv_sbi(struct kvm_run *run)
{
	return (struct ke_riscv_sbi *)run->padding;
}

static inline struct ke_riscv_csr *ke_riscv_csr(struct kvm_run *run)
{
	return (struct ke_riscv_csr *)run->padding;
}

static inline struct kvm_xen_exit *ke_xen(struct kvm_run *run)
{
	return (struct kvm_xen_exit *)run->padding;
}

static inline struct kvm_hyperv_exit *ke_hyperv(struct kvm_run *run)
{
	return &run->hyperv;
}

#endif
