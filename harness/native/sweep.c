// SPDX-License-Identifier: GPL-2.0-only
/* A kick at every instruction: see sweep.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "disposition.h"
#include "kick/enter.h"
#include "sweep.h"
#include "thread_timer.h"

#if KE_ARCH_SWEEPS

#define PHASE_BEFORE 0
#define PHASE_WINDOW 1
#define PHASE_AFTER 2
#define SETTLE_NS 1000000

/* What the handlers share with the one thread that they interrupt. */
static struct {
	const struct sw_plan *plan;
	volatile uint32_t phase;
	volatile sig_atomic_t handled;
	volatile sig_atomic_t rescued;
	volatile uint64_t counter;
	volatile uint32_t landing;
} now;

static int64_t clock_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void on_kick(int signo, siginfo_t *info, void *context)
{
	uintptr_t counter = ke_program_counter(context);

	(void)signo;
	(void)info;
	if (now.handled++)
		return;
	now.counter = counter;
	if (now.phase == PHASE_BEFORE)
		now.landing = SW_BEFORE_CHECK;
	else if (now.phase == PHASE_WINDOW)
		now.landing = counter == (uintptr_t)ke_enter_return ? SW_IN_KVM_RUN : SW_IN_WINDOW;
	else
		now.landing = SW_AFTER;
	if (now.plan && now.plan->protocol == SW_HANDLER_WRITES)
		*(volatile uint8_t *)&now.plan->run->immediate_exit = 1;
}

/* A kick that nothing answered: the byte ends the next entry, and the signal this one. */
static void on_rescue(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)info;
	(void)context;
	now.rescued = 1;
	*(volatile uint8_t *)&now.plan->run->immediate_exit = 1;
}

/* 0, or -errno: a kick that was never sent is not lost. */
static int arm(timer_t timer, int64_t when)
{
	struct itimerspec once = {
		.it_value = {(time_t)(when / 1000000000), (long)(when % 1000000000)}};

	return timer_settime(timer, TIMER_ABSTIME, &once, NULL) ? -errno : 0;
}

static void disarm(timer_t timer)
{
	const struct itimerspec never = {0};

	timer_settime(timer, 0, &never, NULL);
}

/*
 * Returns when the time-stamp counter is at `when`: reads it until that is near, then executes as
 * many NOPs as are left, one a tick of the instruction clock. A loop alone would end a turn early
 * or late, by what came before it.
 */
static inline __attribute__((always_inline)) void wait_for(uint64_t when)
{
	uint64_t left;

	while ((int64_t)(when - ke_ticks()) > KE_NOPS)
		;
	left = when - ke_ticks();
	if (left > KE_NOPS)
		left = 0; /* something came between: too late already */
	ke_nops(left);
}

/*
 * The way itself. noinline and aligned alike in every round: the same instructions each time. The
 * check reads what the handler writes; a kick that it sees needs no KVM_RUN.
 */
static __attribute__((noinline)) long way(const struct sw_plan *plan, uint64_t when)
{
	wait_for(when);
	if (now.handled)
		return -EAGAIN;
	now.phase = PHASE_WINDOW;
	return ke_enter(plan->vcpu_fd, &now.phase, PHASE_AFTER);
}

static int pending(int signo)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, signo);
}

/* Takes a masked kick: 1 if it was there. */
static int take(int signo)
{
	const struct timespec at_once = {0, 0};
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, signo);
	return sigtimedwait(&kick, NULL, &at_once) > 0;
}

static int one_round(
	const struct sw_plan *plan, uint32_t index, timer_t kick, timer_t rescue,
	struct sw_round *round)
{
	int64_t aim = plan->first + (int64_t)(index / SW_PHASES) * SW_PHASES;
	int64_t begin;
	uint32_t before;
	long value;
	uint32_t run;
	int error;

	*(volatile uint8_t *)&plan->run->immediate_exit = 0;
	for (run = 0; run < plan->runs_before; run++)
		ke_enter(plan->vcpu_fd, &now.phase, PHASE_AFTER);
	now.handled = 0;
	now.rescued = 0;
	now.landing = SW_AFTER;
	now.counter = 0;
	now.phase = PHASE_BEFORE;
	before = __atomic_load_n(plan->heartbeat, __ATOMIC_RELAXED);
	begin = clock_ns() + (int64_t)plan->lead_ns;
	/* The deadline comes in the timer's steps; the way begins earlier by the rest. */
	round->began = ke_ticks() + plan->lead_ns - index % SW_PHASES;
	error = arm(rescue, begin + aim + (int64_t)plan->rescue_ns);
	if (!error)
		error = arm(kick, begin + aim);
	if (error) {
		disarm(rescue);
		return error;
	}
	value = way(plan, round->began);
	round->returned = ke_ticks();
	round->entered = value != -EAGAIN;
	round->value = (int32_t)value;
	round->exit_reason = plan->run->exit_reason;
	round->progress = __atomic_load_n(plan->heartbeat, __ATOMIC_RELAXED) - before;
	round->rescued = (uint8_t)now.rescued;
	/* A guest that left by itself, or a kick still to come: it must not meet the next round. */
	if (plan->protocol == SW_SIGNAL_MASK) {
		round->landing = pending(plan->signo) ? SW_IN_KVM_RUN : SW_AFTER;
		take(plan->signo);
	} else {
		round->landing = (uint8_t)now.landing;
	}
	disarm(kick);
	disarm(rescue);
	if (plan->protocol == SW_SIGNAL_MASK)
		take(plan->signo);
	/* Behind a long wait the host has work of its own, which would move the next round. */
	if (round->rescued)
		for (begin = clock_ns() + SETTLE_NS; clock_ns() < begin;)
			;
	return 0;
}

static int handle(int signo, void (*handler)(int, siginfo_t *, void *), struct sigaction *before)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO;
	sigemptyset(&action.sa_mask);
	return sigaction(signo, &action, before) ? -errno : 0;
}

int sw_run(const struct sw_plan *plan, struct sw_round *rounds)
{
	struct sigaction kick_before, rescue_before;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	timer_t kick, rescue;
	sigset_t block, mask_before;
	uint32_t index;
	int error;

	now.plan = plan;
	error = ke_thread_timer(plan->signo, tid, &kick);
	if (error)
		return error;
	error = ke_thread_timer(KE_RESCUE_SIGNAL, tid, &rescue);
	if (error) {
		timer_delete(kick);
		return error;
	}
	error = handle(plan->signo, on_kick, &kick_before);
	if (error)
		goto no_kick;
	error = handle(KE_RESCUE_SIGNAL, on_rescue, &rescue_before);
	if (error)
		goto no_rescue;
	sigemptyset(&block);
	if (plan->protocol == SW_SIGNAL_MASK)
		sigaddset(&block, plan->signo);
	error = -pthread_sigmask(SIG_BLOCK, &block, &mask_before);
	for (index = 0; index < plan->rounds && !error; index++) {
		struct sw_round *round = &rounds[index];

		memset(round, 0, sizeof(*round));
		error = one_round(plan, index, kick, rescue, round);
	}
	if (plan->protocol == SW_SIGNAL_MASK)
		take(plan->signo);
	pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
	*(volatile uint8_t *)&plan->run->immediate_exit = 0;
	ke_give_back(KE_RESCUE_SIGNAL, &rescue_before);
no_rescue:
	ke_give_back(plan->signo, &kick_before);
no_kick:
	timer_delete(kick);
	timer_delete(rescue);
	now.plan = NULL;
	return error;
}

/* The NOPs of the calibration: a byte each, so that the counter tells the number. */
extern const char sw_nops[] __attribute__((visibility("hidden")));

static __attribute__((noinline)) void walk(uint64_t when)
{
	wait_for(when);
	ke_slide();
}

int sw_calibrate(int signo, uint64_t lead_ns, int64_t first, int32_t *nops, uint32_t count)
{
	struct sigaction before;
	timer_t kick;
	uint32_t index;
	int error = ke_thread_timer(signo, (pid_t)syscall(SYS_gettid), &kick);

	if (error)
		return error;
	now.plan = NULL;
	error = handle(signo, on_kick, &before);
	if (error) {
		timer_delete(kick);
		return error;
	}
	for (index = 0; index < count && !error; index++) {
		int64_t begin = clock_ns() + (int64_t)lead_ns;
		uint64_t when = ke_ticks() + lead_ns - index % SW_PHASES;

		now.handled = 0;
		now.counter = 0;
		error = arm(kick, begin + first + (int64_t)(index / SW_PHASES) * SW_PHASES);
		walk(when);
		disarm(kick);
		nops[index] = -1;
		if (now.counter >= (uintptr_t)sw_nops &&
		    now.counter < (uintptr_t)sw_nops + KE_SLIDE_NOPS)
			nops[index] = (int32_t)(now.counter - (uintptr_t)sw_nops);
	}
	timer_delete(kick);
	ke_give_back(signo, &before);
	return error;
}

uint64_t sw_ticks(void)
{
	return ke_ticks();
}

#else

int sw_run(const struct sw_plan *plan, struct sw_round *rounds)
{
	(void)plan;
	(void)rounds;
	return -ENOSYS;
}

int sw_calibrate(int signo, uint64_t lead_ns, int64_t first, int32_t *nops, uint32_t count)
{
	(void)signo;
	(void)lead_ns;
	(void)first;
	(void)nops;
	(void)count;
	return -ENOSYS;
}

uint64_t sw_ticks(void)
{
	return 0;
}

#endif
