// SPDX-License-Identifier: GPL-2.0-only
/* KVM_RUN, where the instruction of the system call has a name: see enter.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/ioctl.h>

#include "enter.h"

#if KE_ARCH_NAMES_CALL
/* noinline: the labels must stand in the program once. */
__attribute__((noinline)) long ke_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	return ke_arch_enter(fd, phase, after);
}
#else
long ke_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	int value = ioctl(fd, KVM_RUN, 0);

	*phase = after;
	return value < 0 ? -(long)errno : value;
}
#endif
