// SPDX-License-Identifier: GPL-2.0-only
/*
 * The signal handlers of a vCPU's thread: the kick's, which tells where it landed, and the single
 * step's, which kicks the thread at a chosen instruction of the window.
 *
 * A handler may interrupt the thread at any instruction: it reads and writes volatile fields of
 * this thread, lock-free atomics and kvm_run, and calls nothing that allocates or locks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../disposition.h"
#include "enter.h"
#include "lane.h"

#define MOST_STEPS 200 /* the way to the system call is far shorter */

/*
 * The lane of this thread. Touched before the handler is installed: the first access of a thread
 * to a library's thread-local storage may allocate, which a handler must not.
 */
static __thread struct ke_lane *self;

/* Called by the thread itself: from now on its signals belong to this lane, or to none. */
void ke_handler_lane(struct ke_lane *lane)
{
	self = lane;
}

static uint32_t where(const struct ke_lane *lane, const void *context)
{
	uintptr_t counter = ke_program_counter(context);

	if (lane->phase != KE_PHASE_WINDOW)
		return lane->phase == KE_PHASE_BEFORE ? KE_BEFORE_CHECK : KE_AFTER_EXIT;
#if KE_ARCH_NAMES_CALL
	if (!lane->entered && counter != (uintptr_t)ke_enter_return)
		return KE_IN_WINDOW;
#else
	(void)counter;
#endif
	return ke_word(lane->plan.heartbeat) == lane->round_heartbeat ? KE_IN_ENTRY : KE_IN_GUEST;
}

static void on_kick(int signo, siginfo_t *info, void *context)
{
	struct ke_lane *lane = self;
	int saved = errno;

	(void)signo;
	(void)info;
	if (lane) {
		if (!lane->handler_ran)
			lane->landing = where(lane, context);
		lane->handler_ran = 1;
		lane->handled++;
		lane->timer_armed = 0;
		/* A timer has no kicker: its signal is the request. */
		if (lane->plan.delivery == KE_BY_TIMER)
			atomic_fetch_add(&lane->requested, 1);
		if (lane->plan.protocol == KE_HANDLER_WRITES)
			ke_set_byte(lane, 1);
	}
	errno = saved;
}

#if KE_ARCH_STEPS
/*
 * A single step of the window. At the step whose turn it is the thread kicks itself; the kick's
 * signal is blocked in here, so it lands on the very instruction that was about to be executed.
 */
static void on_step(int signo, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	struct ke_lane *lane = self;
	int saved = errno;

	(void)signo;
	(void)info;
	if (lane) {
		int last = ke_program_counter(context) == (uintptr_t)ke_enter_call ||
			   lane->steps_now >= MOST_STEPS;

		if (lane->steps_now++ == lane->step || last) {
			KE_ARCH_STEP_NO_MORE(interrupted);
			lane->step = last ? 0 : lane->step + 1;
			ke_kick_once(lane, lane->steps_now);
		}
	}
	errno = saved;
}
#endif

static int check_signal(int signo)
{
	struct sigaction action;

	if (sigaction(signo, NULL, &action))
		return -errno;
	return action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN ? 0 : -EBUSY;
}

int ke_signal_taken(int signo)
{
	return check_signal(signo) == -EBUSY;
}

int ke_can_deliver(int delivery)
{
	return delivery != KE_BY_ITSELF || KE_ARCH_STEPS;
}

/*
 * Before any handler is installed: -EBUSY when somebody else handles one of the signals, -ENOSYS
 * for a delivery that the architecture has not. Such a lane would wait for its kicks for ever.
 */
int ke_handler_check(const struct ke_lane *lane)
{
	int error = check_signal(lane->plan.signo);

	if (!ke_can_deliver(lane->plan.delivery))
		return -ENOSYS;
	if (!error && lane->plan.delivery == KE_BY_ITSELF)
		error = check_signal(SIGTRAP);
	return error;
}

int ke_handler_begin(struct ke_lane *lane)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_kick;
	action.sa_flags = SA_SIGINFO;
	sigemptyset(&action.sa_mask);
	if (sigaction(lane->plan.signo, &action, &lane->action_before))
		return -errno;
#if KE_ARCH_STEPS
	if (lane->plan.delivery == KE_BY_ITSELF) {
		action.sa_sigaction = on_step;
		sigaddset(&action.sa_mask, lane->plan.signo);
		if (sigaction(SIGTRAP, &action, &lane->trap_before)) {
			int error = errno;

			ke_give_back(lane->plan.signo, &lane->action_before);
			return -error;
		}
	}
#endif
	return 0;
}

int ke_handler_end(struct ke_lane *lane)
{
	int error = ke_give_back(lane->plan.signo, &lane->action_before);

	if (lane->plan.delivery == KE_BY_ITSELF && sigaction(SIGTRAP, &lane->trap_before, NULL))
		error = -errno;
	return error;
}
