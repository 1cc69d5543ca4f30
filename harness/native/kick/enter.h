/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_RUN as a system call whose instruction has a name, so that a signal handler that reads the
 * interrupted program counter knows the window from the entry: before `ke_enter_call` the call has
 * not been made; at `ke_enter_return` it has been, and the kernel is done with it. The instruction
 * there notes that in `*phase`, so that a counter behind it is not taken for one in the window.
 */
#ifndef KE_KICK_ENTER_H
#define KE_KICK_ENTER_H

#include <stdint.h>
#include <ucontext.h>

#include "../arch.h"

#if KE_ARCH_NAMES_CALL
extern const char ke_enter_call[] __attribute__((visibility("hidden")));
extern const char ke_enter_return[] __attribute__((visibility("hidden")));

static inline uintptr_t ke_program_counter(const void *context)
{
	return KE_ARCH_PROGRAM_COUNTER((const ucontext_t *)context);
}

#else
/* No addresses: the handler then takes progress and the result for what they tell. */
static inline uintptr_t ke_program_counter(const void *context)
{
	(void)context;
	return 0;
}
#endif

/* 0 or more, or -errno. The instruction behind the call stores `after` to *phase. */
long ke_enter(int fd, volatile uint32_t *phase, uint32_t after);

#endif
