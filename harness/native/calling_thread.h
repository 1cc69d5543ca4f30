/* SPDX-License-Identifier: GPL-2.0-only */
/* What a thread has that KVM_RUN borrows: looked at around the call, with no code in between. */
#ifndef KE_CALLING_THREAD_H
#define KE_CALLING_THREAD_H

#include <stdint.h>

#define KE_COMPONENTS 20      /* of the extended state that have a number below this */
#define KE_EXTENDED_SIZE 8192 /* an area with all that are looked at */
#define KE_THREAD_REGISTERS 3

#define KE_NO_AUX UINT32_MAX

/* What the kernel and the processor say of the thread, beside its extended state. */
struct ke_thread_words {
	uint64_t registers[KE_THREAD_REGISTERS]; /* which, the architecture says */
	uint64_t mask;				 /* blocked signals */
	uint64_t stack;				 /* the alternate signal stack: begin ... */
	uint64_t stack_size;
	uint64_t stack_flags;
};

struct ke_calling_thread {
	uint64_t components; /* those of the extended state that are filled and compared */
	uint32_t place[KE_COMPONENTS], size[KE_COMPONENTS];
	const uint8_t *extended_before, *extended_after;
	struct ke_thread_words before, after;
	uint32_t rseq;	   /* 1: the thread has a restartable sequence's area */
	uint32_t rseq_cpu; /* the processor that it names after the call ... */
	uint32_t cpu;	   /* ... and the thread's own */
	uint32_t aux;	   /* the one that an instruction tells in user mode: KE_NO_AUX, or ... */
	uint32_t aux_cpu;  /* ... the processor that it was compared with */
	/*
	 * A hardware breakpoint of the thread, if it is asked for ("watch"). "watched": 1 when
	 * there was one that worked before the call. Then it was touched once more behind it, and
	 * "noticed" is how often it was met in all.
	 */
	uint32_t watch, watched, noticed;
	volatile uint32_t touched; /* what it watches */
	uint32_t differs;	   /* the fields above are of the first call with a difference */
	uint64_t calls;
	uint8_t room[4 * KE_EXTENDED_SIZE + 64];
	uint8_t signal_stack[65536];
};

/* Fills in what is to be seen; 0, or -ENOSYS on a processor that this file does not know. */
int ke_thread_prepare(struct ke_calling_thread *thread);
/* ioctl(fd, KVM_RUN, argument): its value, or -errno. */
long ke_thread_run(struct ke_calling_thread *thread, int fd, unsigned long argument);

#endif
