// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vCPU's half of a round, and the signal handler that tells where a kick landed.
 *
 * The handler may interrupt the thread at any instruction: it reads and writes volatile fields of
 * this thread, lock-free atomics and kvm_run, and calls nothing that allocates or locks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kick_enter.h"
#include "kick_lane.h"

#define MOST_UNEXPECTED 100
#define MOST_STEPS 200	       /* the way to the system call is far shorter */
#define SINGLE_STEP_FLAG 0x100 /* EFLAGS.TF */

/*
 * The lane of this thread. Touched before the handler is installed: the first access of a thread
 * to a library's thread-local storage may allocate, which a handler must not.
 */
static __thread struct ke_lane *self;

static void set_byte(struct ke_lane *lane, uint8_t value)
{
	/* One byte, one store; the kernel reads it on this thread or behind the signal's locks. */
	__atomic_store_n(&lane->plan.run->immediate_exit, value, __ATOMIC_RELAXED);
}

static uint32_t where(const struct ke_lane *lane, const void *context)
{
	uintptr_t counter = ke_program_counter(context);

	if (lane->phase != KE_PHASE_WINDOW)
		return lane->phase == KE_PHASE_BEFORE ? KE_BEFORE_CHECK : KE_AFTER_EXIT;
#if KE_ENTER_HAS_ADDRESSES
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
			set_byte(lane, 1);
	}
	errno = saved;
}

#if defined(__x86_64__)
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
			interrupted->uc_mcontext.gregs[REG_EFL] &= ~SINGLE_STEP_FLAG;
			lane->step = last ? 0 : lane->step + 1;
			ke_kick_once(lane, lane->steps_now);
		}
	}
	errno = saved;
}

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

int ke_handler_begin(struct ke_lane *lane)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_kick;
	action.sa_flags = SA_SIGINFO;
	sigemptyset(&action.sa_mask);
	if (sigaction(lane->plan.signo, &action, &lane->action_before))
		return -errno;
#if defined(__x86_64__)
	if (lane->plan.delivery == KE_BY_ITSELF) {
		action.sa_sigaction = on_step;
		sigaddset(&action.sa_mask, lane->plan.signo);
		if (sigaction(SIGTRAP, &action, &lane->trap_before))
			return -errno;
	}
#endif
	return 0;
}

void ke_handler_end(struct ke_lane *lane)
{
	sigaction(lane->plan.signo, &lane->action_before, NULL);
	if (lane->plan.delivery == KE_BY_ITSELF)
		sigaction(SIGTRAP, &lane->trap_before, NULL);
}

static int masked(const struct ke_lane *lane)
{
	return lane->plan.protocol == KE_SIGNAL_MASK;
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

/* One kick is outstanding at a time, so its signal can be waited for. */
static int one_at_a_time(const struct ke_lane *lane)
{
	return lane->plan.kickers <= 1 && lane->plan.burst <= 1;
}

/* Whether the supervisor gave this request up. */
static int given_up(struct ke_lane *lane, uint64_t request)
{
	return atomic_load(&lane->rescued_request) == request;
}

/*
 * The kick is answered; before it is acknowledged its signal must have come and its kicker must
 * have looked at the guest, or both would disturb the next round.
 */
static void settle(struct ke_lane *lane, uint64_t request)
{
	if (!one_at_a_time(lane))
		return;
	while (atomic_load(&lane->sampled) < request && lane->plan.delivery != KE_BY_TIMER &&
	       !atomic_load(&lane->over))
		sched_yield();
	/* Not "in this round": it may have come between two rounds. */
	while (!masked(lane) && lane->handled == lane->handled_before && !given_up(lane, request) &&
	       !atomic_load(&lane->over))
		ke_relax();
}

/* Where a kick landed that no handler told about: by the clock of its kicker. */
static uint32_t landing_by_clock(struct ke_lane *lane, uint32_t heartbeat)
{
	uint64_t sent = lane->plan.delivery == KE_BY_TIMER ? atomic_load(&lane->sent_ns)
							   : atomic_load(&lane->sent_done_ns);

	if (lane->plan.delivery == KE_BY_ITSELF)
		return KE_IN_WINDOW;
	if (sent <= lane->window_begin_ns)
		return KE_IN_WINDOW;
	return heartbeat == lane->round_heartbeat ? KE_IN_ENTRY : KE_IN_GUEST;
}

/* Turns of the guest after the kick, as far as they are known. */
static uint32_t progress_after(struct ke_lane *lane, uint32_t heartbeat)
{
	int64_t turns;

	if (!one_at_a_time(lane) || lane->plan.delivery == KE_BY_ITSELF)
		/* By itself: the kick came before the entry, so every turn came after it. */
		return one_at_a_time(lane) ? heartbeat - lane->round_heartbeat : 0;
	if (lane->plan.delivery == KE_BY_TIMER) {
		/* Nobody saw the guest when the timer fired: what it may have done until then
		 * is taken off, at its full speed from the very entry on. */
		uint64_t until = atomic_load(&lane->sent_ns);
		uint64_t spent = until > lane->window_begin_ns ? until - lane->window_begin_ns : 0;

		turns = (int64_t)(heartbeat - lane->round_heartbeat) -
			(int64_t)((double)spent * (double)lane->plan.turns_per_second / 1e9);
	} else {
		turns = (int32_t)(heartbeat - atomic_load(&lane->sent_heartbeat));
	}
	return turns > 0 ? (uint32_t)turns : 0;
}

static void
finish(struct ke_lane *lane, uint64_t request, uint32_t landing, long result, uint32_t heartbeat)
{
	struct ke_round round = {.number = request, .landing = (uint16_t)landing};
	uint64_t sent = atomic_load(&lane->sent_ns);
	uint64_t now = ke_now_ns();
	struct rusage usage;

	settle(lane, request);
	lane->handled_before = lane->handled;
	if (masked(lane) && !drain(lane) && one_at_a_time(lane) && !given_up(lane, request) &&
	    lane->plan.delivery != KE_BY_TIMER)
		lane->summary.swallowed++;
	getrusage(RUSAGE_THREAD, &usage);
	round.value = result < 0 ? -1 : (int32_t)result;
	round.error = result < 0 ? (int32_t)-result : 0;
	round.exit_reason = lane->plan.run->exit_reason;
	round.sent_ns = sent - lane->began_ns;
	round.latency_ns = now > sent ? now - sent : 0;
	round.delay_ns = atomic_load(&lane->delay_ns);
	round.before = atomic_load(&lane->sent_heartbeat) - lane->round_heartbeat;
	round.after = landing == KE_BEFORE_CHECK ? 0 : progress_after(lane, heartbeat);
	if (usage.ru_nivcsw != lane->preemptions)
		round.flags |= KE_PREEMPTED;
	lane->preemptions = usage.ru_nivcsw;
	if (given_up(lane, request)) {
		round.flags |= KE_LOST;
		if (atomic_load(&lane->rescued_by) == 2)
			round.flags |= KE_BY_SIGNAL;
		lane->summary.rescued++;
	} else if (
		lane->plan.late_turns && round.after > lane->plan.late_turns &&
		!(round.flags & KE_PREEMPTED)) {
		round.flags |= KE_LATE;
	}
	/* The kick came before the call with the byte set, and yet KVM_RUN said nothing of it. */
	if (landing == KE_IN_WINDOW && result >= 0 && lane->plan.protocol <= KE_SIGNAL_MASK)
		round.flags |= KE_UNCLAIMED;
	lane->summary.kicks++;
	ke_record(lane, &round);
	if (ke_word(lane->plan.stop))
		__atomic_store_n(lane->plan.stop, 0, __ATOMIC_RELEASE);
	atomic_store(&lane->acknowledged_round, atomic_load(&lane->round));
	atomic_store(&lane->acknowledged, request);
}

/* KVM_RUN is back: what for? */
static void classify(struct ke_lane *lane, long result, uint32_t heartbeat)
{
	uint64_t request;
	uint32_t landing;

	if (masked(lane) && lane->plan.delivery == KE_BY_TIMER && drain(lane)) {
		lane->timer_armed = 0;
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
		if (!lane->plan.exits && !ke_word(lane->plan.stop)) {
			lane->summary.unexpected++;
			lane->summary.last_error = 0;
		}
	}
	if (request == atomic_load(&lane->acknowledged)) {
		if (result == -EINTR && !atomic_load(&lane->over))
			lane->summary.spurious++;
		/* The supervisor wrote the stop word just when the kick was answered. */
		if (ke_word(lane->plan.stop) && !atomic_load(&lane->over))
			__atomic_store_n(lane->plan.stop, 0, __ATOMIC_RELEASE);
		return;
	}
	if (masked(lane))
		landing = landing_by_clock(lane, heartbeat);
	else if (lane->landing == KE_BEFORE_CHECK)
		/* Behind the check's load, but before the thread had noted it. */
		landing = KE_IN_WINDOW;
	else
		landing = lane->landing;
	finish(lane, request, landing, result, heartbeat);
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
		lane->timer_armed = 1;
		ke_timer_arm(lane, ke_next_delay(lane, &lane->random));
	}
	lane->window_begin_ns = ke_now_ns();
	atomic_store(&lane->round_ns, lane->window_begin_ns);
	atomic_fetch_add(&lane->round, 1);
	lane->summary.rounds++;
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
		set_byte(lane, 0);
	/* The clear must be visible before the request is read: a store, then a load. Without the
	 * fence the byte that a kicker sets in between may be overwritten by this older zero. */
	atomic_thread_fence(memory_order_seq_cst);
	if (by_itself)
		step_from_here();
	request = atomic_load(&lane->requested);
	if (request != atomic_load_explicit(&lane->acknowledged, memory_order_relaxed)) {
		if (by_itself)
			stop_stepping();
		finish(lane, request, KE_BEFORE_CHECK, -EINTR, lane->round_heartbeat);
		return;
	}
	if (plan->protocol == KE_CLEARED_LATE)
		set_byte(lane, 0);
	lane->phase = KE_PHASE_WINDOW;
	if (plan->window_ns && lane->summary.rounds % 2) {
		uint64_t until = ke_now_ns() + plan->window_ns;

		while (ke_now_ns() < until)
			ke_relax();
	}
	if (plan->function)
		result = ((ke_run_function)plan->function)(
			plan->vcpu_fd, plan->run, plan->heartbeat, plan->stop, &lane->entered,
			plan->signo, masked(lane));
	else
		result = ke_enter(plan->vcpu_fd);
	lane->phase = KE_PHASE_AFTER;
	classify(lane, result, ke_word(plan->heartbeat));
}

static int create_timer(struct ke_lane *lane)
{
	struct sigevent event;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = lane->plan.signo;
#ifdef sigev_notify_thread_id
	event.sigev_notify_thread_id = (pid_t)atomic_load(&lane->tid);
#else
	event._sigev_un._tid = (pid_t)atomic_load(&lane->tid);
#endif
	if (timer_create(CLOCK_MONOTONIC, &event, &lane->timer))
		return -errno;
	lane->has_timer = 1;
	return 0;
}

void *ke_vcpu_main(void *argument)
{
	struct ke_lane *lane = argument;
	sigset_t kick, before;
	struct rusage usage;

	self = lane;
	sigemptyset(&kick);
	sigaddset(&kick, lane->plan.signo);
	pthread_sigmask(masked(lane) ? SIG_BLOCK : SIG_UNBLOCK, &kick, &before);
	atomic_store(&lane->tid, (uint32_t)syscall(SYS_gettid));
	ke_pin(0, lane->plan.vcpu_cpu);
	lane->random = lane->plan.delay_step_ns ? 0 : lane->plan.seed | 1;
	if (lane->plan.delivery == KE_BY_TIMER && create_timer(lane))
		atomic_store(&lane->over, 1);
	getrusage(RUSAGE_THREAD, &usage);
	lane->preemptions = usage.ru_nivcsw;
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
	set_byte(lane, 0);
	if (masked(lane))
		drain(lane);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* A handler that is still to run finds no lane. */
	self = NULL;
	atomic_store(&lane->ended, 1);
	return NULL;
}
