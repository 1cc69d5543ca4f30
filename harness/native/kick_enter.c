// SPDX-License-Identifier: GPL-2.0-only
/* KVM_RUN, where the instruction of the system call has a name: see kick_enter.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "compat.h"
#include "kick_enter.h"

#if KE_ENTER_HAS_ADDRESSES
/* noinline: the labels must stand in the program once. */
__attribute__((noinline)) long ke_enter(int fd, volatile uint32_t *phase, uint32_t after)
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
#else
long ke_enter(int fd, volatile uint32_t *phase, uint32_t after)
{
	int value = ioctl(fd, KVM_RUN, 0);

	*phase = after;
	return value < 0 ? -(long)errno : value;
}
#endif
