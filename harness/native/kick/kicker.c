// SPDX-License-Identifier: GPL-2.0-only
/* The kicker's half of a round: wait for the moment, publish the request, signal. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../child.h"
#include "../compat.h"
#include "lane.h"

#define SPIN_BEFORE_YIELD 2000
#define FIRST_NAP_NS 4000L
#define MOST_DOUBLED 10 /* 4 ms */
#define MIGRATE_EVERY 8
#define MOST_REFUSED_NS 5000000000ULL /* a signal queue full for so long: nobody empties it */

/* 0, or -errno: also for a CPU that does not exist, is offline or is not this process's. */
int ke_pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set) ? -errno : 0;
}

/* A thread that cannot begin ends its lane, and the engine's caller learns why. */
void ke_fail(struct ke_lane *lane, int error)
{
	atomic_store(&lane->failed, error);
	atomic_store(&lane->over, 1);
}

/* Between the first and the last delay: in steps, or at random (xorshift64) for a step of 0. */
uint64_t ke_next_delay(struct ke_lane *lane, uint64_t *state)
{
	const struct ke_lane_plan *plan = &lane->plan;
	uint64_t span = plan->delay_last_ns - plan->delay_first_ns;

	if (!span)
		return plan->delay_first_ns;
	if (plan->delay_step_ns) {
		*state += plan->delay_step_ns;
		return plan->delay_first_ns + *state % (span + 1);
	}
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return plan->delay_first_ns + *state % (span + 1);
}

/* Spins first, for the other side is mostly about to answer; then it may want this processor. */
void ke_wait_a_little(unsigned int *turns)
{
	if (++*turns < SPIN_BEFORE_YIELD)
		ke_relax();
	else
		sched_yield();
}

/*
 * How a kicker waits. A realtime one would keep the vCPU's thread off its processor for as long as
 * it spins, and yields to its equals only: it sleeps, and longer each time, so that the thread gets
 * most of the processor however slow the host is.
 */
static void wait_a_little(const struct ke_lane *lane, unsigned int *turns)
{
	struct timespec nap = {0, 0};

	if (!lane->plan.realtime) {
		ke_wait_a_little(turns);
		return;
	}
	nap.tv_nsec = FIRST_NAP_NS << *turns;
	*turns += *turns < MOST_DOUBLED;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

/* The kick's signal, once: 0, or -errno. */
static int send_signal(const struct ke_lane *lane, pid_t tid)
{
	siginfo_t info;

	if (lane->plan.delivery != KE_BY_QUEUE)
		return syscall(SYS_tgkill, lane->process, tid, lane->plan.signo) ? -errno : 0;
	memset(&info, 0, sizeof(info));
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	return syscall(SYS_rt_tgsigqueueinfo, lane->process, tid, lane->plan.signo, &info) ? -errno
											   : 0;
}

/* A full queue is no lost kick: a user's pending signals have a limit (RLIMIT_SIGPENDING). */
static void signal_once(struct ke_lane *lane)
{
	pid_t tid = (pid_t)atomic_load(&lane->tid);
	uint64_t until = 0;
	unsigned int turns = 0;

	int error;

	while ((error = send_signal(lane, tid)) == -EAGAIN && !atomic_load(&lane->over)) {
		if (!until)
			until = ke_now_ns() + MOST_REFUSED_NS;
		if (ke_now_ns() > until)
			break;
		wait_a_little(lane, &turns);
	}
	/* A kick that was never sent is not lost. When the lane is over its thread may be gone. */
	if (error && !atomic_load(&lane->over))
		ke_fail(lane, error);
}

/* One kick. The order is the protocol's: request, byte, signal (reference of each monitor). */
void ke_kick_once(struct ke_lane *lane, uint64_t delay_ns)
{
	int writes =
		lane->plan.protocol == KE_KICKER_WRITES || lane->plan.protocol == KE_CLEARED_LATE;
	uint32_t index;

	/* Relaxed: the request publishes them. */
	atomic_store_explicit(&lane->delay_ns, delay_ns, memory_order_relaxed);
	atomic_store_explicit(
		&lane->asked_heartbeat, ke_word(lane->plan.heartbeat), memory_order_relaxed);
	atomic_store_explicit(&lane->sent_ns, ke_now_ns(), memory_order_relaxed);
	atomic_fetch_add(&lane->requested, 1);
	if (writes)
		/* Release: behind the request. The signal's own locks order it before the signal.
		 */
		__atomic_store_n(&lane->plan.run->immediate_exit, 1, __ATOMIC_RELEASE);
	for (index = 0; index < lane->plan.burst; index++)
		signal_once(lane);
	/*
	 * Behind the signal, so that a kicker that was scheduled out meanwhile makes the guest's
	 * progress look smaller and never larger.
	 */
	atomic_store_explicit(
		&lane->sent_heartbeat, ke_word(lane->plan.heartbeat), memory_order_relaxed);
	atomic_store_explicit(&lane->sent_done_ns, ke_now_ns(), memory_order_relaxed);
	atomic_fetch_add(&lane->sampled, 1);
}

/* Until the last kick is answered and a new round has begun; 0 when the lane is over. */
static int wait_for_round(struct ke_lane *lane, uint64_t ticket)
{
	unsigned int turns = 0;

	while (atomic_load(&lane->acknowledged) < ticket) {
		if (atomic_load(&lane->over))
			return 0;
		wait_a_little(lane, &turns);
	}
	turns = 0;
	while (atomic_load(&lane->round) <= atomic_load(&lane->acknowledged_round)) {
		if (atomic_load(&lane->over))
			return 0;
		wait_a_little(lane, &turns);
	}
	return 1;
}

static void wait_for_delay(struct ke_lane *lane, uint64_t delay_ns)
{
	uint64_t until = atomic_load(&lane->round_ns) + delay_ns;
	struct timespec moment = {(time_t)(until / 1000000000), (long)(until % 1000000000)};

	if (lane->plan.realtime)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
	while (ke_now_ns() < until && !atomic_load(&lane->over))
		ke_relax();
}

static void migrate(struct ke_lane *lane, uint64_t number)
{
	const struct ke_lane_plan *plan = &lane->plan;

	int cpu = number / MIGRATE_EVERY % 2 ? plan->migrate_to : plan->migrate_from;
	int error;

	if (plan->migrate_from < 0 || number % MIGRATE_EVERY)
		return;
	error = ke_pin((pid_t)atomic_load(&lane->tid), cpu);
	if (error && !atomic_load(&lane->over))
		ke_fail(lane, error);
}

/* The loop of a kicker, thread or process. */
static void kick(struct ke_lane *lane)
{
	uint64_t state = lane->plan.delay_step_ns ? 0 : lane->plan.seed | 1;
	uint64_t ticket = 0, delay, number;

	while (!atomic_load(&lane->over)) {
		if (!wait_for_round(lane, ticket))
			break;
		number = atomic_fetch_add(&lane->issued, 1);
		if (lane->plan.kicks && number >= lane->plan.kicks)
			break;
		delay = ke_next_delay(lane, &state);
		wait_for_delay(lane, delay);
		migrate(lane, number);
		ke_kick_once(lane, delay);
		ticket = atomic_load(&lane->requested);
	}
	if (atomic_fetch_sub(&lane->kickers_left, 1) == 1)
		atomic_store(&lane->over, 1);
}

/* The calling thread: 0, or -errno. By the system call, for musl's own function does nothing. */
static int become_realtime(int priority)
{
	struct sched_param wanted = {.sched_priority = priority};

	if (!priority)
		return 0;
	return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted)
		       ? -errno
		       : 0;
}

static void begin(struct ke_lane *lane)
{
	int error = ke_pin(0, lane->plan.kicker_cpu);

	if (!error)
		error = become_realtime(lane->plan.realtime);
	if (error)
		ke_fail(lane, error);
}

void *ke_kicker_main(void *argument)
{
	struct ke_lane *lane = argument;

	begin(lane);
	kick(lane);
	return NULL;
}

/* A kicker that is a process of its own: it shares the lane's memory and nothing else is used. */
int ke_kicker_process(struct ke_lane *lane)
{
	pid_t child = ke_fork();

	if (child < 0)
		return -errno;
	if (!child) {
		begin(lane);
		kick(lane);
		_exit(0);
	}
	lane->kicker_process = child;
	return 0;
}

/* The vCPU's own timer: absolute, so that its expiry is known to the nanosecond. */
int ke_timer_arm(struct ke_lane *lane, uint64_t delay_ns)
{
	uint64_t when = ke_now_ns() + delay_ns + 1;
	struct itimerspec once = {
		.it_value = {(time_t)(when / 1000000000), (long)(when % 1000000000)}};

	atomic_store(&lane->delay_ns, delay_ns);
	atomic_store(&lane->sent_ns, when);
	return timer_settime(lane->timer, TIMER_ABSTIME, &once, NULL) ? -errno : 0;
}
