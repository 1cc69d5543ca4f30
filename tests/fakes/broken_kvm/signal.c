// SPDX-License-Identifier: GPL-2.0-only
/* Defects of signals and of KVM_SET_SIGNAL_MASK. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broken_kvm.h"

/* The signal by which native/run.c ends a run that does not come back. */
#define RESCUE (1ULL << (SIGRTMAX - 3 - 1))

/* The signal ended KVM_RUN, and not the byte. */
static int is_signal_exit(const struct call *call, int value)
{
	return !call->preset && value == -1 && errno == EINTR;
}

/* Signals that wait for the thread and that KVM_RUN would let in. */
static uint64_t pending_at_entry(const struct call *call)
{
	uint64_t pending = 0;

	syscall(SYS_rt_sigpending, &pending, sizeof(pending));
	return call->vcpu->masked ? pending & ~call->vcpu->mask : 0;
}

static int mask_left_by_immediate_exit(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->vcpu->masked) {
		block(call->vcpu->mask);
		errno = EINTR;
	}
	return value;
}

/* The vCPU's mask goes, not only the thread's. */
static int mask_ends_at_immediate_exit(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->vcpu->masked) {
		kernel(call->fd, KVM_SET_SIGNAL_MASK, NULL);
		errno = EINTR;
	}
	return value;
}

static int mask_left_by_signal_exit(struct call *call)
{
	int value = plain(call);

	if (is_signal_exit(call, value) && call->vcpu->masked) {
		block(call->vcpu->mask & ~pending_at_entry(call));
		errno = EINTR;
	}
	return value;
}

static int handler_runs(struct call *call)
{
	int value = plain(call);

	if (is_signal_exit(call, value) && call->vcpu->masked) {
		block(block(call->vcpu->mask));
		errno = EINTR;
	}
	return value;
}

static int mask_not_applied(int fd, unsigned long request, void *argument)
{
	return request == KVM_SET_SIGNAL_MASK ? 0 : kernel(fd, request, argument);
}

static int mask_of_any_length(int fd, unsigned long request, void *argument)
{
	const struct kvm_signal_mask *mask = argument;

	if (request == KVM_SET_SIGNAL_MASK && mask && mask->len != sizeof(uint64_t))
		return 0;
	return kernel(fd, request, argument);
}

static int mask_never_cleared(int fd, unsigned long request, void *argument)
{
	if (request == KVM_SET_SIGNAL_MASK && !argument)
		return 0;
	return kernel(fd, request, argument);
}

static int signal_before_completion(struct call *call)
{
	if (call->preset || !pending_at_entry(call))
		return plain(call);
	call->run->exit_reason = KVM_EXIT_INTR;
	return fail(EINTR);
}

static int refused_msr_succeeds_at_signal(struct call *call)
{
	uint32_t reason = call->run->exit_reason;

	if (!call->preset && pending_at_entry(call) && call->vcpu->pending &&
	    (reason == KVM_EXIT_X86_RDMSR || reason == KVM_EXIT_X86_WRMSR))
		call->run->msr.error = 0;
	return plain(call);
}

static int loses_pieces_at_signal(struct call *call)
{
	int at_signal = !call->preset && pending_at_entry(call);
	int value = plain(call);

	while (at_signal && !value && call->run->exit_reason == KVM_EXIT_MMIO)
		value = plain(call);
	return value;
}

/* The guest gets one instruction in before the signal is looked at. */
static int late_for_pending_signal(struct call *call)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t bits;
	} __attribute__((packed)) mask = {.head = {.len = sizeof(uint64_t)}, .bits = ~RESCUE};

	if (!call->preset && pending_at_entry(call)) {
		kernel(call->fd, KVM_SET_SIGNAL_MASK, &mask);
		step(call);
		mask.bits = call->vcpu->mask;
		kernel(call->fd, KVM_SET_SIGNAL_MASK, &mask);
	}
	return plain(call);
}

/* Two, for the first one may be this library's own. The rescue sends one after the other. */
static int loses_kicks(struct call *call)
{
	int value = plain(call);

	for (int lost = 0; lost < 2 && is_signal_exit(call, value); lost++)
		value = plain(call);
	return value;
}

/* A real-time signal of the suites has a handler with SA_RESTART. */
static int wants_restart(void)
{
	struct sigaction action;
	int signo;

	for (signo = SIGRTMIN; signo <= SIGRTMAX; signo++)
		if (!sigaction(signo, NULL, &action) && action.sa_flags & SA_RESTART)
			return 1;
	return 0;
}

static int restarts(struct call *call)
{
	int value = plain(call);

	return is_signal_exit(call, value) && wants_restart() ? plain(call) : value;
}

static int no_reason_for_signals(struct call *call)
{
	uint32_t reason = call->run->exit_reason;
	int value = plain(call);

	if (is_signal_exit(call, value))
		call->run->exit_reason = reason;
	return value;
}

static int swallows_signal(struct call *call)
{
	const struct timespec at_once = {0, 0};
	uint64_t all = UINT64_MAX;
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		syscall(SYS_rt_sigtimedwait, &all, NULL, &at_once, sizeof(all));
		errno = EINTR;
	}
	return value;
}

static int doubles_signals(struct call *call)
{
	int value = plain(call), signo;
	uint64_t pending = 0;

	if (!is_immediate_exit(call, value))
		return value;
	syscall(SYS_rt_sigpending, &pending, sizeof(pending));
	for (signo = 1; signo <= 64; signo++)
		if (pending >> (signo - 1) & 1)
			syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signo);
	return fail(EINTR);
}

static int first_run_spoilt(struct call *call)
{
	int value;

	if (call->vcpu->spoilt)
		return fail(ENOMEM);
	value = plain(call);
	if (is_signal_exit(call, value) && !call->vcpu->ran) {
		call->vcpu->spoilt = 1;
		return fail(ENOMEM);
	}
	return value;
}

/* As if by a signal, without one, and for ever: the guest is never entered. */
static int interrupted_for_ever(struct call *call)
{
	if (call->preset || call->argument || call->vcpu->process != getpid())
		return plain(call);
	call->run->exit_reason = KVM_EXIT_INTR;
	return fail(EINTR);
}

/* Now and then, and not as a signal does it: what obeys another vCPU's byte looks like this. */
static int interrupted_without_reason(struct call *call)
{
	if (!call->preset && !call->argument && ++call->vcpu->spoilt % 2)
		return fail(EINTR);
	return plain(call);
}

const struct defect signal_defects[] = {
	{"mask_left_by_immediate_exit", mask_left_by_immediate_exit, NULL},
	{"mask_ends_at_immediate_exit", mask_ends_at_immediate_exit, NULL},
	{"mask_left_by_signal_exit", mask_left_by_signal_exit, NULL},
	{"handler_runs", handler_runs, NULL},
	{"mask_not_applied", plain, mask_not_applied},
	{"mask_of_any_length", plain, mask_of_any_length},
	{"mask_never_cleared", plain, mask_never_cleared},
	{"signal_before_completion", signal_before_completion, NULL},
	{"refused_msr_succeeds_at_signal", refused_msr_succeeds_at_signal, NULL},
	{"loses_pieces_at_signal", loses_pieces_at_signal, NULL},
	{"late_for_pending_signal", late_for_pending_signal, NULL},
	{"loses_kicks", loses_kicks, NULL},
	{"restarts", restarts, NULL},
	{"no_reason_for_signals", no_reason_for_signals, NULL},
	{"swallows_signal", swallows_signal, NULL},
	{"doubles_signals", doubles_signals, NULL},
	{"first_run_spoilt", first_run_spoilt, NULL},
	{"interrupted_for_ever", interrupted_for_ever, NULL},
	{"interrupted_without_reason", interrupted_without_reason, NULL},
	{NULL, NULL, NULL},
};
