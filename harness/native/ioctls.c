// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of KVM, as a table: name, number, size of the argument. The numbers come from the
 * system's headers, for they differ by architecture (powerpc and mips lay _IO() out otherwise).
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "native.h"

#define PLAIN(ioctl_name) {#ioctl_name, ioctl_name, 0}
#define SIZED(ioctl_name, type) {#ioctl_name, ioctl_name, sizeof(type)}

const struct ke_ioctl ke_ioctls[] = {
	PLAIN(KVM_GET_API_VERSION),
	PLAIN(KVM_CREATE_VM),
	PLAIN(KVM_CHECK_EXTENSION),
	PLAIN(KVM_GET_VCPU_MMAP_SIZE),
	PLAIN(KVM_CREATE_VCPU),
	PLAIN(KVM_RUN),
	PLAIN(KVM_RESET_DIRTY_RINGS),
	PLAIN(KVM_GET_STATS_FD),
	SIZED(KVM_GET_DIRTY_LOG, struct kvm_dirty_log),
	SIZED(KVM_SET_USER_MEMORY_REGION, struct kvm_userspace_memory_region),
	SIZED(KVM_SET_USER_MEMORY_REGION2, struct kvm_userspace_memory_region2),
	SIZED(KVM_SET_MEMORY_ATTRIBUTES, struct kvm_memory_attributes),
	SIZED(KVM_CREATE_GUEST_MEMFD, struct kvm_create_guest_memfd),
	SIZED(KVM_ENABLE_CAP, struct kvm_enable_cap),
	SIZED(KVM_SET_SIGNAL_MASK, struct kvm_signal_mask),
	SIZED(KVM_GET_MP_STATE, struct kvm_mp_state),
	SIZED(KVM_SET_MP_STATE, struct kvm_mp_state),
	SIZED(KVM_SET_GUEST_DEBUG, struct kvm_guest_debug),
	SIZED(KVM_SIGNAL_MSI, struct kvm_msi),
	SIZED(KVM_INTERRUPT, struct kvm_interrupt),
	SIZED(KVM_IRQFD, struct kvm_irqfd),
	SIZED(KVM_IRQ_LINE, struct kvm_irq_level),
	SIZED(KVM_CREATE_DEVICE, struct kvm_create_device),
	SIZED(KVM_SET_DEVICE_ATTR, struct kvm_device_attr),
	SIZED(KVM_GET_DEVICE_ATTR, struct kvm_device_attr),
	SIZED(KVM_HAS_DEVICE_ATTR, struct kvm_device_attr),
	SIZED(KVM_IOEVENTFD, struct kvm_ioeventfd),
	SIZED(KVM_REGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone),
	SIZED(KVM_GET_ONE_REG, struct kvm_one_reg),
	SIZED(KVM_SET_ONE_REG, struct kvm_one_reg),
	SIZED(KVM_GET_REG_LIST, struct kvm_reg_list),
	SIZED(KVM_GET_REGS, struct kvm_regs),
	SIZED(KVM_SET_REGS, struct kvm_regs),
	KE_ARCH_IOCTLS{NULL, 0, 0},
};

/* The size that an ioctl's number carries, in this architecture's own layout. */
unsigned int ke_ioctl_size(unsigned long number)
{
	return _IOC_SIZE(number);
}

/*
 * KVM_GET_ONE_REG of many, for a whole state is hundreds of them: each value into `room` bytes.
 * How many were read; fewer than `count` where one failed, with its errno in *error.
 */
size_t ke_get_registers(
	int fd, const uint64_t *numbers, size_t count, uint8_t *values, size_t room, int *error)
{
	size_t place;

	*error = 0;
	for (place = 0; place < count; place++) {
		struct kvm_one_reg request = {
			.id = numbers[place],
			.addr = (uintptr_t)(values + place * room),
		};
		size_t log = (numbers[place] & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT;

		if ((size_t)1 << log > room)
			*error = ENOSPC;
		else if (ioctl(fd, KVM_GET_ONE_REG, &request))
			*error = errno;
		if (*error)
			break;
	}
	return place;
}

/* The result of ioctl(2), or -errno. A number goes as a pointer of that value. */
long ke_ioctl(int fd, unsigned long number, void *argument)
{
	int value = ioctl(fd, number, argument);

	return value < 0 ? -(long)errno : value;
}
