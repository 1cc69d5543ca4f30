// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN with a pattern in whatever of the calling thread it borrows, and a look at that around
 * it. What differs afterwards a compiler would hardly notice: to it, the call is a function call,
 * which may change most registers.
 */
#include "calling_thread.h"

#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch.h"

#ifdef KE_ARCH_THREAD
#include KE_ARCH_THREAD

#define KERNEL_SIGSET_BYTES 8
#define LOOKS 100 /* at the processor's number, until it did not change meanwhile */

/* glibc 2.35 registers the area for each thread, and says where it lies from the thread pointer. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

enum {
	OWN,
	FILL,
	BEFORE,
	AFTER
};

static uint8_t *area(struct ke_calling_thread *thread, int which)
{
	uintptr_t room = ((uintptr_t)thread->room + 63) & ~(uintptr_t)63;

	return (uint8_t *)room + (size_t)which * KE_EXTENDED_SIZE;
}

int ke_thread_prepare(struct ke_calling_thread *thread)
{
	memset(thread, 0, sizeof(*thread));
	thread->components = ke_arch_components(thread->place, thread->size);
	if (!thread->components)
		return -ENOSYS;
	ke_arch_fill(area(thread, FILL), thread->components, thread->place, thread->size);
	thread->extended_before = area(thread, BEFORE);
	thread->extended_after = area(thread, AFTER);
	return 0;
}

static void look(struct ke_thread_words *words)
{
	stack_t stack = {0};

	ke_arch_look(words->registers);
	(void)ke_raw4(
		SYS_rt_sigprocmask, SIG_BLOCK, 0, (unsigned long)&words->mask, KERNEL_SIGSET_BYTES);
	(void)ke_raw4(SYS_sigaltstack, 0, (unsigned long)&stack, 0, 0);
	words->stack = (uintptr_t)stack.ss_sp;
	words->stack_size = stack.ss_size;
	words->stack_flags = (uint64_t)(unsigned int)stack.ss_flags;
}

/* Where the kernel says that the thread runs, in its area and when asked: 1 when they agree. */
static int same_processor(struct ke_calling_thread *thread)
{
	const volatile uint32_t *cpu_id;

	if (!&__rseq_size || !__rseq_size)
		return 1;
	thread->rseq = 1;
	cpu_id = (const volatile uint32_t *)(ke_thread_pointer() + __rseq_offset) + 1;
	for (int looks = 0; looks < LOOKS; looks++) {
		thread->rseq_cpu = *cpu_id;
		(void)ke_raw4(SYS_getcpu, (unsigned long)&thread->cpu, 0, 0, 0);
		if (thread->rseq_cpu == thread->cpu)
			return 1;
	}
	return 0;
}

/*
 * The same of what the processor itself tells, from a register that KVM lends to the guest: 1 when
 * they agree, or where none tells.
 */
static int told_processor(uint32_t *aux, uint32_t *cpu)
{
	for (int looks = 0; looks < LOOKS; looks++) {
		*aux = ke_arch_processor();
		(void)ke_raw4(SYS_getcpu, (unsigned long)cpu, 0, 0, 0);
		if (*aux == KE_NO_AUX || *aux == *cpu)
			return 1;
	}
	return 0;
}

/* A hardware breakpoint of this thread on "touched", met by writes in user mode: -1 without one. */
static int watch(struct ke_calling_thread *thread)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&thread->touched,
		.bp_len = HW_BREAKPOINT_LEN_4,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	if (!thread->watch)
		return -1;
	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static uint32_t met(int event)
{
	uint64_t count = 0;

	return read(event, &count, sizeof(count)) == sizeof(count) ? (uint32_t)count : 0;
}

static int first_difference(struct ke_calling_thread *thread)
{
	ke_arch_forget(area(thread, BEFORE));
	ke_arch_forget(area(thread, AFTER));
	return memcmp(area(thread, BEFORE), area(thread, AFTER), KE_EXTENDED_SIZE) ||
	       memcmp(&thread->before, &thread->after, sizeof(thread->before));
}

long ke_thread_run(struct ke_calling_thread *thread, int fd, unsigned long argument)
{
	stack_t stack = {.ss_sp = thread->signal_stack, .ss_size = sizeof(thread->signal_stack)};
	struct ke_thread_words own;
	uint32_t aux, cpu;
	int tells, event;
	stack_t before;
	long value;

	if (thread->differs)
		return ke_raw4(SYS_ioctl, (unsigned long)fd, KVM_RUN, argument, 0);
	tells = told_processor(&aux, &cpu);
	event = watch(thread);
	thread->touched = 1;
	thread->watched = event >= 0 && met(event) == 1;
	look(&own);
	(void)sigaltstack(&stack, &before);
	ke_arch_set_patterns();
	look(&thread->before);
	value = ke_arch_call(
		thread->components, area(thread, OWN), area(thread, FILL), area(thread, BEFORE),
		area(thread, AFTER), SYS_ioctl, (unsigned long)fd, KVM_RUN, argument);
	thread->touched = 2;
	look(&thread->after);
	/* From here on the thread's own variables can be reached again, whatever the kernel did. */
	ke_arch_restore(own.registers, thread->after.registers);
	(void)sigaltstack(&before, NULL);
	thread->calls++;
	thread->noticed = event >= 0 ? met(event) : 0;
	if (event >= 0)
		(void)close(event);
	thread->differs = !same_processor(thread) || first_difference(thread) ||
			  (thread->watched && thread->noticed != 2) ||
			  (tells && !told_processor(&thread->aux, &thread->aux_cpu));
	return value;
}

#else

int ke_thread_prepare(struct ke_calling_thread *thread)
{
	(void)thread;
	return -ENOSYS;
}

long ke_thread_run(struct ke_calling_thread *thread, int fd, unsigned long argument)
{
	(void)thread;
	(void)fd;
	(void)argument;
	return -ENOSYS;
}

#endif
