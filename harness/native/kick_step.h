/* SPDX-License-Identifier: GPL-2.0-only */
/* The processor's single-step flag, set and cleared in line: a call would be stepped as well. */
#ifndef KE_KICK_STEP_H
#define KE_KICK_STEP_H

#if defined(__x86_64__)
#define SINGLE_STEP_FLAG 0x100 /* EFLAGS.TF */

/* From the next instruction on each one traps. The red zone below the stack pointer is spared. */
static inline __attribute__((always_inline)) void step_from_here(void)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
}

/* The check saw a kick that landed before it: the rest is not to be stepped. */
static inline void stop_stepping(void)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "andq $~0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
}
#else
static inline void step_from_here(void)
{
}
static inline void stop_stepping(void)
{
}
#endif

#endif
