// SPDX-License-Identifier: GPL-2.0-only
/* The vCPU's half of a round: clear, check, KVM_RUN, classify, acknowledge. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../disposition.h"
#include "enter.h"
#include "lane.h"
#include "../thread_timer.h"

#define MOST_UNEXPECTED 100

/* Whether the kick's signal pends; here it is blocked. */
static int pending(const struct ke_lane *lane)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, lane->plan.signo);
}

/* Takes the kick's signals that are still pending: how many. */
static unsigned int drain(const struct ke_lane *lane)
{
	const struct timespec at_once = {0, 0};
	unsigned int taken = 0;
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, lane->plan.signo);
	while (sigtimedwait(&kick, NULL, &at_once) > 0)
		taken++;
	return taken;
}

/* Whether the supervisor gave this request up. */
static int given_up(struct ke_lane *lane, uint64_t request)
{
	return atomic_load(&lane->rescued_request) == request;
}

/* Not "in this round": it may have come between two rounds. */
static int handler_has_run(const struct ke_lane *lane)
{
	return lane->handled != lane->handled_before;
}

/*
 * The kick is answered; before it is acknowledged its signal must have come, or it would disturb
 * the next round, and what its kicker saw must be known as far as the record needs it. Where the
 * handler ran and the guest made no progress it needs nothing, and the kicker, who may still be in
 * its system call, is not waited for: its next kick cannot overtake it.
 *
 * 1 when the signal is gone: its system call is over and this thread has been in the kernel since,
 * so it is pending (masked) or was handled, or the kernel has swallowed it.
 */
static int settle(struct ke_lane *lane, uint64_t request, uint32_t heartbeat)
{
	unsigned int turns = 0;

	if (!ke_one_at_a_time(lane))
		return 0;
	if (!ke_masked(lane) && handler_has_run(lane) && heartbeat == lane->round_heartbeat)
		return 0;
	while (atomic_load(&lane->sampled) < request && lane->plan.delivery != KE_BY_TIMER &&
	       !atomic_load(&lane->over))
		ke_wait_a_little(&turns);
	if (!ke_masked(lane) && !handler_has_run(lane))
		sched_yield();
	if (given_up(lane, request) || atomic_load(&lane->over) ||
	    lane->plan.delivery == KE_BY_TIMER)
		return 0;
	return ke_masked(lane) ? !pending(lane) : !handler_has_run(lane);
}

/* The guest stands still meanwhile: this thread, which runs it, is here. */
static void clear_stop(struct ke_lane *lane)
{
	if (!ke_word(lane->plan.stop))
		return;
	__atomic_store_n(lane->plan.stop, 0, __ATOMIC_RELEASE);
	lane->may_leave = 1;
	lane->leave_heartbeat = ke_word(lane->plan.heartbeat);
}

/*
 * A guest that has seen the stop word leaves in a later KVM_RUN when a signal ended the one under
 * way, and the word is cleared by then. It makes no turn in between, for it looks at the word
 * behind its count. So one exit is excused after the word was cleared, and only before the next
 * turn. The first KVM_RUN of a lane may come behind such a clear, of whoever had the guest before.
 */
static int leaves_late(struct ke_lane *lane, uint32_t heartbeat)
{
	int leaves = lane->may_leave && heartbeat == lane->leave_heartbeat;

	lane->may_leave = 0;
	return leaves;
}

static void
finish(struct ke_lane *lane, uint64_t request, uint32_t landing, long result, uint32_t heartbeat)
{
	struct ke_round round = {.number = request};
	uint64_t sent = atomic_load(&lane->sent_ns);
	uint64_t now = ke_now_ns();
	struct rusage usage;

	if (settle(lane, request, heartbeat))
		lane->summary.swallowed++;
	if (ke_masked(lane))
		drain(lane);
	lane->handled_before = lane->handled;
	landing = ke_landing_of(lane, landing, heartbeat);
	round.landing = (uint16_t)landing;
	getrusage(RUSAGE_THREAD, &usage);
	round.value = result < 0 ? -1 : (int32_t)result;
	round.error = result < 0 ? (int32_t)-result : 0;
	round.exit_reason = lane->plan.run->exit_reason;
	round.sent_ns = sent - lane->began_ns;
	round.latency_ns = now > sent ? now - sent : 0;
	round.delay_ns = atomic_load(&lane->delay_ns);
	if (landing == KE_IN_GUEST && ke_has_sampled_kicker(lane))
		round.before = atomic_load(&lane->sent_heartbeat) - lane->round_heartbeat;
	round.after = landing == KE_BEFORE_CHECK ? 0 : ke_progress_after(lane, heartbeat);
	if (usage.ru_nivcsw != lane->preemptions)
		round.flags |= KE_PREEMPTED;
	lane->preemptions = usage.ru_nivcsw;
	pthread_mutex_lock(&lane->rescue);
	if (given_up(lane, request)) {
		round.flags |= KE_LOST;
		if (atomic_load(&lane->rescued_by) == 2)
			round.flags |= KE_BY_SIGNAL;
		lane->summary.rescued++;
		if (lane->plan.enough_losses && lane->summary.rescued >= lane->plan.enough_losses)
			atomic_store(&lane->over, 1);
	} else if (lane->plan.late_turns && round.after > lane->plan.late_turns) {
		round.flags |= KE_LATE;
	}
	/*
	 * The kick came before the call with the byte set, and yet KVM_RUN said nothing of it. (Of
	 * a masked timer only its date is known, and its interrupt may be later.)
	 */
	if (landing == KE_IN_WINDOW && result >= 0 && lane->plan.protocol <= KE_CONTROL &&
	    !(ke_masked(lane) && lane->plan.delivery == KE_BY_TIMER))
		round.flags |= KE_UNCLAIMED;
	lane->summary.kicks++;
	ke_record(lane, &round);
	clear_stop(lane);
	atomic_store(&lane->acknowledged_round, atomic_load(&lane->round));
	atomic_store(&lane->acknowledged, request);
	pthread_mutex_unlock(&lane->rescue);
}

/* Of a round whose check met no kick: one before it came behind its load, before that was noted. */
static uint32_t landing_behind_check(const struct ke_lane *lane)
{
	if (!ke_masked(lane) && lane->landing == KE_BEFORE_CHECK)
		return KE_IN_WINDOW;
	return lane->landing;
}

/* KVM_RUN is back: what for? */
static void classify(struct ke_lane *lane, long result, uint32_t heartbeat)
{
	uint64_t request;

	if (ke_masked(lane) && lane->plan.delivery == KE_BY_TIMER && drain(lane)) {
		lane->timer_armed = 0;
		atomic_fetch_add(&lane->requested, 1);
	}
	if (lane->plan.delivery == KE_BY_TIMER && atomic_load(&lane->timer_armed) &&
	    given_up(lane, atomic_load(&lane->requested) + 1)) {
		/* The timer fired and its signal was not taken: the supervisor ended the run. */
		atomic_store(&lane->timer_armed, 0);
		lane->landing = ke_landing_by_clock(lane, heartbeat);
		atomic_fetch_add(&lane->requested, 1);
	}
	request = atomic_load(&lane->requested);
	if (result < 0 && result != -EINTR) {
		lane->summary.unexpected++;
		lane->summary.last_error = (int32_t)-result;
		if (lane->summary.unexpected >= MOST_UNEXPECTED)
			atomic_store(&lane->over, 1);
	} else if (result >= 0) {
		lane->summary.exits++;
		if (!lane->plan.exits && !ke_word(lane->plan.stop) &&
		    !leaves_late(lane, heartbeat)) {
			lane->summary.unexpected++;
			lane->summary.last_error = 0;
		}
	}
	if (request == atomic_load(&lane->acknowledged)) {
		if (result == -EINTR && !atomic_load(&lane->over))
			lane->summary.spurious++;
		/* The supervisor wrote the stop word just when the kick was answered. */
		if (!atomic_load(&lane->over))
			clear_stop(lane);
		return;
	}
	finish(lane, request, landing_behind_check(lane), result, heartbeat);
}

/*
 * A control's kick that came into the window is lost: its handler has run, nothing else is left of
 * it. EINTR then came for nothing, as it may (running.h), or by the supervisor. KVM_RUN is called
 * again, for the control must show that such a kick stays lost. The other protocols need no such
 * rule: every round of theirs begins with the check, so a return for nothing answers no kick
 * wrongly, and a kick that waited for one was late.
 */
static int lost_and_returned(struct ke_lane *lane, long result)
{
	return lane->plan.protocol == KE_CONTROL && result == -EINTR && lane->handler_ran &&
	       landing_behind_check(lane) == KE_IN_WINDOW && ke_one_at_a_time(lane) &&
	       !given_up(lane, atomic_load(&lane->requested)) && !atomic_load(&lane->over);
}

static void begin(struct ke_lane *lane)
{
	const struct ke_lane_plan *plan = &lane->plan;

	lane->entered = 0;
	lane->landing = KE_AFTER_EXIT;
	lane->handler_ran = 0;
	lane->steps_now = 0;
	lane->phase = KE_PHASE_BEFORE;
	lane->round_heartbeat = ke_word(plan->heartbeat);
	if (plan->delivery == KE_BY_TIMER && !lane->timer_armed &&
	    atomic_load(&lane->requested) == atomic_load(&lane->acknowledged)) {
		int error;

		lane->timer_armed = 1;
		error = ke_timer_arm(lane, ke_next_delay(lane, &lane->random));
		if (error)
			ke_fail(lane, error);
	}
	lane->window_begin_ns = ke_now_ns();
	atomic_store(&lane->round_ns, lane->window_begin_ns);
	atomic_fetch_add(&lane->round, 1);
	lane->summary.rounds++;
}

static long enter(struct ke_lane *lane)
{
	const struct ke_lane_plan *plan = &lane->plan;
	long result;

	lane->phase = KE_PHASE_WINDOW;
	if (plan->function)
		result = ((ke_run_function)plan->function)(
			plan->vcpu_fd, plan->run, plan->heartbeat, plan->stop, &lane->entered,
			plan->signo, ke_masked(lane));
	else
		result = ke_enter(plan->vcpu_fd, &lane->phase, KE_PHASE_AFTER);
	lane->phase = KE_PHASE_AFTER;
	return result;
}

/* One round. The kick that its check meets is answered without KVM_RUN. */
static void run_round(struct ke_lane *lane)
{
	const struct ke_lane_plan *plan = &lane->plan;
	int by_itself = plan->delivery == KE_BY_ITSELF;
	uint64_t request;
	long result;

	begin(lane);
	if (plan->protocol != KE_CLEARED_LATE)
		ke_set_byte(lane, 0);
	/* The clear must be visible before the request is read: a store, then a load. Without the
	 * fence the byte that a kicker sets in between may be overwritten by this older zero. */
	atomic_thread_fence(memory_order_seq_cst);
	if (by_itself)
		ke_step_from_here();
	request = atomic_load(&lane->requested);
	if (request != atomic_load_explicit(&lane->acknowledged, memory_order_relaxed)) {
		if (by_itself)
			ke_stop_stepping();
		finish(lane, request, KE_BEFORE_CHECK, -EINTR, lane->round_heartbeat);
		return;
	}
	if (plan->protocol == KE_CLEARED_LATE)
		ke_set_byte(lane, 0);
	lane->phase = KE_PHASE_WINDOW;
	if (plan->window_ns && lane->summary.rounds % 2) {
		uint64_t until = ke_now_ns() + plan->window_ns;

		while (ke_now_ns() < until && !atomic_load(&lane->over))
			ke_relax();
	}
	if (ke_masked(lane))
		lane->call_ns = ke_now_ns();
	result = enter(lane);
	while (lost_and_returned(lane, result)) {
		lane->summary.spurious++;
		result = enter(lane);
	}
	classify(lane, result, ke_word(plan->heartbeat));
}

static int create_timer(struct ke_lane *lane)
{
	pid_t tid = (pid_t)atomic_load(&lane->tid);
	int error = ke_thread_timer(lane->plan.signo, tid, &lane->timer);

	lane->has_timer = !error;
	return error;
}

/*
 * The thread takes the kick (but under a mask), the rescue and its own faults. The process's other
 * signals have other threads to go to: a handler of theirs that runs when KVM_RUN is back would
 * hide the program counter by which a kick's landing is told, and end a KVM_RUN for nothing.
 */
static int block_signals(const struct ke_lane *lane, sigset_t *before)
{
	static const int faults[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	sigset_t blocked;
	unsigned int index;

	sigfillset(&blocked);
	for (index = 0; index < sizeof(faults) / sizeof(faults[0]); index++)
		sigdelset(&blocked, faults[index]);
	sigdelset(&blocked, KE_RESCUE_SIGNAL);
	if (!ke_masked(lane))
		sigdelset(&blocked, lane->plan.signo);
	return -pthread_sigmask(SIG_SETMASK, &blocked, before);
}

void *ke_vcpu_main(void *argument)
{
	struct ke_lane *lane = argument;
	struct rusage usage;
	sigset_t before;
	int error;

	ke_handler_lane(lane);
	error = block_signals(lane, &before);
	atomic_store(&lane->tid, (uint32_t)syscall(SYS_gettid));
	if (!error)
		error = ke_pin(0, lane->plan.vcpu_cpu);
	lane->random = lane->plan.delay_step_ns ? 0 : lane->plan.seed | 1;
	if (!error && lane->plan.delivery == KE_BY_TIMER)
		error = create_timer(lane);
	if (error)
		ke_fail(lane, error);
	getrusage(RUSAGE_THREAD, &usage);
	lane->preemptions = usage.ru_nivcsw;
	lane->may_leave = 1;
	lane->leave_heartbeat = ke_word(lane->plan.heartbeat);
	lane->began_ns = ke_now_ns();
	while (!atomic_load(&lane->over)) {
		run_round(lane);
		if ((lane->plan.delivery == KE_BY_TIMER || lane->plan.delivery == KE_BY_ITSELF) &&
		    lane->plan.kicks && lane->summary.kicks >= lane->plan.kicks)
			atomic_store(&lane->over, 1);
	}
	lane->phase = KE_PHASE_OUTSIDE;
	lane->summary.handled = lane->handled;
	lane->summary.elapsed_ns = ke_now_ns() - lane->began_ns;
	if (lane->has_timer)
		timer_delete(lane->timer);
	ke_set_byte(lane, 0);
	if (ke_masked(lane))
		drain(lane);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* A handler that is still to run finds no lane. */
	ke_handler_lane(NULL);
	atomic_store(&lane->ended, 1);
	return NULL;
}
