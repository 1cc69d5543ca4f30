/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_RUN as a system call whose instruction has a name, so that a signal handler that reads the
 * interrupted program counter knows the window from the entry: before `ke_enter_call` the call has
 * not been made; at `ke_enter_return` it has been, and the kernel is done with it.
 */
#ifndef KE_KICK_ENTER_H
#define KE_KICK_ENTER_H

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "compat.h"

#if defined(__x86_64__)
#define KE_ENTER_HAS_ADDRESSES 1

extern const char ke_enter_call[] __attribute__((visibility("hidden")));
extern const char ke_enter_return[] __attribute__((visibility("hidden")));

/* 0 or more, or -errno. noinline: the labels must stand in the program once. */
static __attribute__((noinline)) long ke_enter(int fd)
{
	long result;

	__asm__ volatile(".globl ke_enter_call\n\t"
			 ".hidden ke_enter_call\n\t"
			 ".globl ke_enter_return\n\t"
			 ".hidden ke_enter_return\n"
			 "ke_enter_call:\n\t"
			 "syscall\n"
			 "ke_enter_return:"
			 : "=a"(result)
			 : "a"((long)SYS_ioctl), "D"((long)fd), "S"((unsigned long)KVM_RUN), "d"(0L)
			 : "rcx", "r11", "memory");
	return result;
}

static inline uintptr_t ke_program_counter(const void *context)
{
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

#else
/* No addresses: the handler then takes progress and the result for what they tell. */
#define KE_ENTER_HAS_ADDRESSES 0

static long ke_enter(int fd)
{
	int value = ioctl(fd, KVM_RUN, 0);

	return value < 0 ? -(long)errno : value;
}

static inline uintptr_t ke_program_counter(const void *context)
{
	(void)context;
	return 0;
}
#endif

#endif
