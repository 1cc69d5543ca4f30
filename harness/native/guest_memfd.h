/* SPDX-License-Identifier: GPL-2.0-only */
/* What <linux/kvm.h> has of guest_memfd, for headers that are older (see compat.h). */
#ifndef KE_GUEST_MEMFD_H
#define KE_GUEST_MEMFD_H

#include <linux/kvm.h>
#include <stdint.h>

#ifndef KVM_CAP_GUEST_MEMFD /* 6.8 */
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#define KVM_CAP_GUEST_MEMFD 234
#define KVM_CAP_VM_TYPES 235
#define KVM_MEM_GUEST_MEMFD (1UL << 2)
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};
struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS /* 6.18 */
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED /* 6.18 */
#define GUEST_MEMFD_FLAG_MMAP (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)
#endif

/* The part of kvm_run that tells of a fault (KVM_EXIT_MEMORY_FAULT), which older headers lack. */
struct ke_memory_fault {
	uint64_t flags;
	uint64_t gpa;
	uint64_t size;
};

static inline struct ke_memory_fault *ke_memory_fault(struct kvm_run *run)
{
	return (struct ke_memory_fault *)run->padding;
}

#endif
