// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stand-ins for KVM_RUN. tests/harness/kick/test_engine.py builds this as a library and hands its
 * functions to the engine; tests/fakes/kick/main.c links it for the sanitizers. See fakes.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fakes.h"

#define SELDOM 10
#define RARELY 10000
#define MANY 1000
#define ONCE UINT_MAX
#define ONCE_AT 500
/* Far beyond what the engine calls late (an eighth of a millisecond), far below what is lost. */
#define LATE_NS 400000
#define EXIT_TURNS 20
/* Longer than the supervisor waits for a vCPU that neither runs nor sleeps, by the clock. */
#define STOPPED_S 11
/* In which the supervisor looks at it a few times. */
#define HELD_NS 200000000

struct fault {
	int ignores_byte;
	unsigned int overlooks_byte; /* one in so many */
	int byte_late;		     /* looked at once the guest has run for a while */
	int pending_late;	     /* likewise */
	int preempted;		     /* the thread is scheduled out meanwhile */
	unsigned int swallows;	     /* one in so many */
	int answers;		     /* ... but it answers */
	unsigned int wrong;	     /* one run in so many ends at once ... */
	int wrong_value;	     /* ... with this */
	int unclaimed;
	int deaf;
	int exits;
	unsigned int stop;	  /* ONCE: the process is stopped then */
	unsigned int for_nothing; /* one turn of the guest in so many ends the run */
};

struct words {
	uint32_t *heartbeat;
	uint32_t *stop;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static int pends(int signo)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, signo);
}

static void take(int signo)
{
	const struct timespec at_once = {0, 0};
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, signo);
	sigtimedwait(&kick, NULL, &at_once);
}

/* True once in so many calls; never for 0, and for ONCE a single time. Each thread counts for
 * itself. */
static int turn_of(unsigned int *count, unsigned int every)
{
	if (every == ONCE)
		return ++*count == ONCE_AT;
	return every && ++*count % every == 0;
}

static void turn(const struct words *words)
{
	__atomic_fetch_add(words->heartbeat, 1, __ATOMIC_RELEASE);
}

static int stopped(const struct words *words)
{
	return (int)__atomic_load_n(words->stop, __ATOMIC_ACQUIRE);
}

static long scheduled_out(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static void *give_way(void *done)
{
	while (!__atomic_load_n((int *)done, __ATOMIC_ACQUIRE))
		sched_yield();
	return NULL;
}

/*
 * The thread is scheduled out against its will: it yields to another on its processor, which
 * __schedule() counts as ru_nivcsw since the thread stays runnable.
 */
static void be_preempted(void)
{
	long before = scheduled_out();
	cpu_set_t allowed, here;
	pthread_t other;
	int done = 0;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here); /* the other thread inherits it */
	if (!pthread_create(&other, NULL, give_way, &done)) {
		while (scheduled_out() == before)
			sched_yield();
		__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
		pthread_join(other, NULL);
	}
	sched_setaffinity(0, sizeof(allowed), &allowed);
}

/* The guest runs, and nothing is looked at. It makes turns at the speed of the sound guest. */
static void run_blindly(const struct words *words, int signo)
{
	uint64_t until = now_ns(CLOCK_MONOTONIC) + LATE_NS;

	while (now_ns(CLOCK_MONOTONIC) < until && !stopped(words)) {
		pends(signo);
		turn(words);
	}
}

static void hold(void)
{
	uint64_t until = now_ns(CLOCK_MONOTONIC) + HELD_NS;

	while (now_ns(CLOCK_MONOTONIC) < until)
		;
}

/* SIGSTOP for this process, and SIGCONT by a child; the kick is outstanding all the while. */
static void stop_the_process(void)
{
	const struct timespec pause = {STOPPED_S, 0};
	pid_t process = getpid(), child;

	hold();
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		nanosleep(&pause, NULL);
		kill(process, SIGCONT);
		_exit(0);
	}
	kill(process, SIGSTOP);
	hold();
	waitpid(child, NULL, 0);
}

static int ends(struct kvm_run *run, int value, uint32_t reason)
{
	run->exit_reason = reason;
	return value;
}

/* Until something ends it. The kick's signal is blocked, so it pends. */
static int
guest(const struct fault *fault, struct kvm_run *run, const struct words *words, int signo)
{
	static __thread unsigned int signals, stops, turns_made;
	unsigned int turns = 0;

	if (fault->pending_late && pends(signo)) {
		run_blindly(words, signo);
		if (fault->preempted)
			be_preempted();
	}
	for (;;) {
		if (pends(signo) && !fault->deaf) {
			if (turn_of(&stops, fault->stop))
				stop_the_process();
			if (!turn_of(&signals, fault->swallows))
				return ends(run, -EINTR, KVM_EXIT_INTR);
			take(signo);
			if (fault->answers)
				return ends(run, -EINTR, KVM_EXIT_INTR);
		}
		if (stopped(words))
			return ends(run, 0, KVM_EXIT_IO);
		if (turn_of(&turns_made, fault->for_nothing))
			return ends(run, -EINTR, KVM_EXIT_INTR);
		if (fault->exits && ++turns == EXIT_TURNS)
			return ends(run, 0, KVM_EXIT_IO);
		turn(words);
	}
}

/* KVM_RUN from the look at the byte on. */
static int
answer(const struct fault *fault, struct kvm_run *run, const struct words *words, int signo)
{
	static __thread unsigned int runs, bytes;

	if (turn_of(&runs, fault->wrong))
		return ends(run, fault->wrong_value, KVM_EXIT_HLT);
	if (fault->byte_late && __atomic_load_n(&run->immediate_exit, __ATOMIC_ACQUIRE))
		run_blindly(words, signo);
	if (!fault->ignores_byte && __atomic_load_n(&run->immediate_exit, __ATOMIC_ACQUIRE) &&
	    !turn_of(&bytes, fault->overlooks_byte))
		return fault->unclaimed ? ends(run, 0, KVM_EXIT_IO) : -EINTR;
	return guest(fault, run, words, signo);
}

/* Blocks the kick's signal as the kernel is deaf to user space's handlers while it is inside. */
static void
go_in(int signo, int masked, volatile uint32_t *entered, sigset_t *before, sigset_t *kick)
{
	sigemptyset(kick);
	sigaddset(kick, signo);
	if (!masked)
		pthread_sigmask(SIG_BLOCK, kick, before);
	*entered = 1;
}

/* The handler runs in here, as it does on the way out of the kernel. */
static void come_out(int masked, const sigset_t *before)
{
	if (!masked)
		pthread_sigmask(SIG_SETMASK, before, NULL);
}

#define FAKE(name, ...)                                          \
	KICK_FAKE(name)                                          \
	{                                                        \
		static const struct fault fault = {__VA_ARGS__}; \
		const struct words words = {heartbeat, stop};    \
		sigset_t before, kick;                           \
		int value;                                       \
                                                                 \
		(void)fd;                                        \
		go_in(signo, masked, entered, &before, &kick);   \
		value = answer(&fault, run, &words, signo);      \
		come_out(masked, &before);                       \
		return value;                                    \
	}

FAKE(fake_sound, .ignores_byte = 0)
FAKE(fake_exits, .exits = 1)
FAKE(fake_ignores_byte, .ignores_byte = 1)
FAKE(fake_loses_some, .overlooks_byte = SELDOM)
FAKE(fake_polls_byte_late, .byte_late = 1)
FAKE(fake_misses_pending, .pending_late = 1)
FAKE(fake_misses_pending_preempted, .pending_late = 1, .preempted = 1)
FAKE(fake_swallows, .swallows = SELDOM)
FAKE(fake_swallows_answers, .swallows = SELDOM, .answers = 1)
FAKE(fake_wrong_exit, .wrong = RARELY, .wrong_value = 0)
FAKE(fake_wrong_exit_once, .wrong = ONCE, .wrong_value = 0)
FAKE(fake_wrong_error, .wrong = RARELY, .wrong_value = -EAGAIN)
FAKE(fake_wrong_interrupt, .wrong = RARELY, .wrong_value = -EINTR)
FAKE(fake_ends_for_nothing, .for_nothing = SELDOM)
FAKE(fake_loses_and_ends, .for_nothing = MANY, .ignores_byte = 1)
FAKE(fake_byte_unclaimed, .unclaimed = 1)
FAKE(fake_deaf, .deaf = 1)
FAKE(fake_is_stopped, .stop = ONCE)

KICK_FAKE(fake_sound_halted)
{
	struct pollfd pending = {.events = POLLIN};
	sigset_t before, kick;
	int value = -EINTR;

	(void)fd;
	(void)heartbeat;
	(void)stop;
	go_in(signo, masked, entered, &before, &kick);
	if (!__atomic_load_n(&run->immediate_exit, __ATOMIC_ACQUIRE)) {
		/* Readable while the signal pends; it is not taken. Other signals end poll(). */
		pending.fd = signalfd(-1, &kick, SFD_CLOEXEC);
		poll(&pending, 1, -1);
		close(pending.fd);
		value = ends(run, -EINTR, KVM_EXIT_INTR);
	}
	come_out(masked, &before);
	return value;
}

KICK_FAKE(fake_sleeps)
{
	sigset_t before, kick;

	(void)fd;
	(void)heartbeat;
	(void)stop;
	go_in(signo, masked, entered, &before, &kick);
	poll(NULL, 0, -1); /* the kick's signal is blocked, the supervisor's is not */
	come_out(masked, &before);
	return ends(run, -EINTR, KVM_EXIT_INTR);
}

uint64_t fake_speed(void)
{
	uint32_t heartbeat = 0, stop = 0;
	const struct words words = {&heartbeat, &stop};
	uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID), spent;

	do {
		for (int index = 0; index < 1000; index++)
			if (!stopped(&words) && !pends(SIGRTMAX))
				turn(&words);
		spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	} while (spent < 20000000);
	return heartbeat * 1000000000ULL / spent;
}
