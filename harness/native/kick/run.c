// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starts the lanes, watches over them, and ends them. The supervisor does not rely on what is
 * tested: it gives a kick up when the guest ran on (or slept on) after it, and ends the run by the
 * stop word in the guest, then by signals of its own, then by the end of the process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../clock.h"
#include "../disposition.h"
#include "lane.h"
#include "../last_words.h"

#define LOOK_EVERY_NS 2000000L
#define MOST_A_LOOK_NS 50000000ULL /* who was stopped for longer could not look */
#define CLOCK_SLACK_NS 1000000ULL
#define SLEEPY_LOOKS 5		      /* asleep with a signal pending at so many looks in a row */
#define LAST_RESORT_NS 30000000000ULL /* then the process ends */

/*
 * What the supervisor remembers of a lane. Its times are those in which the vCPU's thread had its
 * chance (see chance()), as far as the supervisor itself was awake: while the process is stopped
 * (SIGSTOP) or the thread gets no processor nobody comes out of KVM_RUN, and the clock goes on.
 */
struct watch {
	uint64_t own_ns;
	uint64_t cpu_ns;  /* the thread's processor time at the last look */
	uint64_t request; /* outstanding since ... */
	uint64_t since_ns;
	uint32_t heartbeat;
	uint32_t asleep;
	uint64_t over_ns;
};

struct ke_lane *ke_lane_new(const struct ke_lane_plan *plan)
{
	struct ke_lane *lane = mmap(
		NULL, sizeof(*lane), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (lane == MAP_FAILED)
		return NULL;
	lane->plan = *plan;
	return lane;
}

const struct ke_summary *ke_lane_summary(const struct ke_lane *lane)
{
	return &lane->summary;
}

void ke_lane_free(struct ke_lane *lane)
{
	munmap(lane, sizeof(*lane));
}

int ke_rescue_signal(void)
{
	return KE_RESCUE_SIGNAL;
}

static void do_nothing(int signo)
{
	(void)signo;
}

static int has_kickers(const struct ke_lane *lane)
{
	return lane->plan.delivery != KE_BY_TIMER && lane->plan.delivery != KE_BY_ITSELF;
}

static int start_kickers(struct ke_lane *lane)
{
	uint32_t wanted = lane->plan.kickers ? lane->plan.kickers : 1;
	int error = 0;

	if (wanted > KE_MOST_KICKERS)
		wanted = KE_MOST_KICKERS;
	if (lane->plan.delivery == KE_BY_PROCESS) {
		atomic_store(&lane->kickers_left, 1);
		return ke_kicker_process(lane);
	}
	atomic_store(&lane->kickers_left, wanted);
	while (lane->threads < wanted && !error) {
		error = pthread_create(
			&lane->kicker_threads[lane->threads], NULL, ke_kicker_main, lane);
		lane->threads += !error;
	}
	return -error;
}

/* Waits until the vCPU's thread has told its id, for kickers need it. */
static int start_vcpu(struct ke_lane *lane)
{
	const struct timespec moment = {0, 50000};
	int error;

	lane->process = getpid();
	pthread_mutex_init(&lane->rescue, NULL);
	error = pthread_create(&lane->vcpu_thread, NULL, ke_vcpu_main, lane);
	if (error)
		return -error;
	while (!atomic_load(&lane->round) && !atomic_load(&lane->ended))
		nanosleep(&moment, NULL);
	return 0;
}

/* The thread's state, the third field of its stat: S sleeps in the kernel, R runs or would. */
static char state_of(const struct ke_lane *lane)
{
	char path[64], text[256];
	const char *state;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", atomic_load(&lane->tid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length > 0 ? length : 0] = 0;
	state = strrchr(text, ')');
	return state && state[1] ? state[2] : 0;
}

/* The processor time that the vCPU's thread has used, its guest's included; 0 when it is gone. */
static uint64_t used_ns(const struct ke_lane *lane)
{
	struct timespec used;
	clockid_t clock;

	if (pthread_getcpuclockid(lane->vcpu_thread, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000ULL + (uint64_t)used.tv_nsec;
}

/*
 * How much of the time since the last look the thread had to come out of KVM_RUN: all of it where
 * it sleeps, or is held in the kernel; what it got of a processor where it wants one. On a host
 * with more to do (a realtime task on its processor, say) that can be nothing for many seconds.
 */
static uint64_t chance(const struct ke_lane *lane, struct watch *watch, uint64_t look_ns)
{
	uint64_t cpu_ns = used_ns(lane), got_ns = cpu_ns - watch->cpu_ns;

	watch->cpu_ns = cpu_ns;
	if (!cpu_ns || (!watch->request && !watch->over_ns) || state_of(lane) != 'R')
		return look_ns;
	return got_ns < look_ns ? got_ns : look_ns;
}

/* It is repeated; of a full queue last_resort() tells. A thread that is gone has no excuse. */
static void signal_thread(struct ke_lane *lane)
{
	long refused = syscall(
		SYS_tgkill, lane->process, (pid_t)atomic_load(&lane->tid), KE_RESCUE_SIGNAL);

	lane->unsignalled = refused && errno == EAGAIN ? errno : 0;
}

static void last_resort(const struct ke_lane *lane)
{
	if (lane->kicker_process > 0)
		kill(lane->kicker_process, SIGKILL);
	if (lane->unsignalled)
		ke_last_words(
			"the kick engine: the supervisor's signal could not be sent (%s), and a run cannot "
			"be ended: this " KE_NOT_THE_KERNEL " The process ends here.\n",
			strerror(lane->unsignalled));
	ke_last_words(
		"the kick engine: a vCPU's thread did not come back from KVM_RUN, neither by "
		"the stop word in the guest nor by repeated signals. The process ends "
		"here.\n");
}

/* Ends the run under way: the stop word first, where the guest can see it. */
static void rescue(struct ke_lane *lane, struct watch *watch, uint64_t waited_ns)
{
	/* The stop word is seen by a guest that runs. */
	int signals = lane->plan.sleeps || watch->asleep || waited_ns > 2 * lane->plan.lost_ns;

	pthread_mutex_lock(&lane->rescue);
	if (atomic_load(&lane->acknowledged) >= watch->request) {
		pthread_mutex_unlock(&lane->rescue); /* it was answered just now */
		return;
	}
	/* Once signals came into it they stay: a thread that they woke may not have run yet. */
	if (atomic_load(&lane->rescued_request) == watch->request &&
	    atomic_load(&lane->rescued_by) == 2)
		signals = 1;

	atomic_store(&lane->rescued_by, signals ? 2 : 1);
	atomic_store(&lane->rescued_request, watch->request);
	if (signals) {
		signal_thread(lane);
	} else {
		__atomic_store_n(lane->plan.stop, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lane->rescue);
	if (waited_ns > LAST_RESORT_NS)
		last_resort(lane);
}

/* Signals come into it only when the stop word was there for long, so the time counts anew. */
static void begin_rescue(struct ke_lane *lane, struct watch *watch)
{
	watch->since_ns = watch->own_ns;
	rescue(lane, watch, 0);
}

/* Whether the lane's timer has fired, and its signal has not been taken. */
static int overdue(const struct ke_lane *lane, uint64_t request)
{
	return lane->plan.delivery == KE_BY_TIMER && atomic_load(&lane->timer_armed) &&
	       request == atomic_load(&lane->acknowledged) &&
	       ke_now_ns() > atomic_load(&lane->sent_ns);
}

/* A kick is lost when the guest went on long after it, or the vCPU sleeps with the signal sent. */
static void look_for_loss(struct ke_lane *lane, struct watch *watch)
{
	uint64_t request = atomic_load(&lane->requested);
	uint64_t waited;
	uint32_t turns;

	/* A timer's signal is its own request, so one that nobody took is the next. */
	if (overdue(lane, request))
		request++;
	if (request == atomic_load(&lane->acknowledged)) {
		watch->request = 0;
		return;
	}
	if (has_kickers(lane) && atomic_load(&lane->sampled) < request)
		return; /* the signal is not yet known to be sent */
	if (request != watch->request) {
		watch->request = request;
		watch->since_ns = watch->own_ns;
		watch->heartbeat = ke_word(lane->plan.heartbeat);
		watch->asleep = 0;
		return;
	}
	waited = watch->own_ns - watch->since_ns;
	turns = ke_word(lane->plan.heartbeat) - watch->heartbeat;
	watch->asleep = state_of(lane) == 'S' ? watch->asleep + 1 : 0;
	if (atomic_load(&lane->rescued_request) == request)
		rescue(lane, watch, waited);
	else if (
		waited > lane->plan.lost_ns &&
		(watch->asleep >= SLEEPY_LOOKS ||
		 (!lane->plan.sleeps && turns >= lane->plan.lost_turns)))
		begin_rescue(lane, watch);
	else if (waited > LAST_RESORT_NS / 3)
		/* Neither ran on nor sleeps: held in the kernel. */
		begin_rescue(lane, watch);
}

/* The lane has made its kicks: bring its thread out of the last KVM_RUN. */
static void bring_out(struct ke_lane *lane, struct watch *watch)
{
	if (!watch->over_ns)
		watch->over_ns = watch->own_ns + 1; /* 0 is not yet */
	__atomic_store_n(lane->plan.stop, 1, __ATOMIC_RELEASE);
	signal_thread(lane);
	if (watch->own_ns > watch->over_ns + LAST_RESORT_NS)
		last_resort(lane);
}

static void join(struct ke_lane *lane)
{
	uint32_t index;

	for (index = 0; index < lane->threads; index++)
		pthread_join(lane->kicker_threads[index], NULL);
	if (lane->kicker_process > 0)
		waitpid(lane->kicker_process, NULL, 0);
	pthread_join(lane->vcpu_thread, NULL);
	pthread_mutex_destroy(&lane->rescue);
	__atomic_store_n(lane->plan.stop, 0, __ATOMIC_RELEASE);
}

/*
 * Rounds are timed by the C library's clock, for a system call costs more than their steps. Whoever
 * preloads another one (libfaketime) would make kicks late or lost: -ETIME when it does not tell
 * what the kernel tells.
 */
static int check_clock(void)
{
	uint64_t before = ke_true_ns(), library = ke_now_ns(), after = ke_true_ns();

	return library + CLOCK_SLACK_NS < before || library > after + CLOCK_SLACK_NS ? -ETIME : 0;
}

static void supervise(
	struct ke_lane **lanes, uint32_t count, uint64_t time_limit_ns,
	const volatile uint32_t *cancel, struct watch *watches)
{
	const struct timespec moment = {0, LOOK_EVERY_NS};
	uint64_t began = ke_true_ns(), looked = began;
	uint32_t index, running = count;
	int broken;

	while (running) {
		uint64_t now, look_ns;

		nanosleep(&moment, NULL);
		now = ke_true_ns();
		broken = check_clock();
		look_ns = now - looked < MOST_A_LOOK_NS ? now - looked : MOST_A_LOOK_NS;
		looked = now;
		running = 0;
		for (index = 0; index < count; index++) {
			struct ke_lane *lane = lanes[index];

			if (broken)
				ke_fail(lane, broken);
			if ((cancel && __atomic_load_n(cancel, __ATOMIC_ACQUIRE)) ||
			    (time_limit_ns && now - began > time_limit_ns))
				atomic_store(&lane->over, 1);
			if (atomic_load(&lane->ended))
				continue;
			running++;
			watches[index].own_ns += chance(lane, &watches[index], look_ns);
			if (atomic_load(&lane->over))
				bring_out(lane, &watches[index]);
			else
				look_for_loss(lane, &watches[index]);
		}
	}
}

/*
 * Whether signals can be sent, and nobody else in this process handles one of them: 0, or -errno.
 * RLIMIT_SIGPENDING may forbid every real-time signal, the supervisor's too.
 */
static int check(struct ke_lane **lanes, uint32_t count)
{
	struct sigaction action;
	struct rlimit limit;
	uint32_t index;
	int error = 0;

	if (!getrlimit(RLIMIT_SIGPENDING, &limit) && !limit.rlim_cur)
		return -EAGAIN;
	if (sigaction(KE_RESCUE_SIGNAL, NULL, &action))
		return -errno;
	if (check_clock())
		return -ETIME;
	if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
		return -EBUSY;
	for (index = 0; index < count && !error; index++)
		error = ke_handler_check(lanes[index]);
	return error;
}

/* Installs the handlers: of all lanes or, after an error, of none. */
static int install(struct ke_lane **lanes, uint32_t count)
{
	uint32_t index;
	int error = 0;

	for (index = 0; index < count && !error; index++)
		error = ke_handler_begin(lanes[index]);
	if (error)
		for (index--; index > 0; index--)
			ke_handler_end(lanes[index - 1]);
	return error;
}

/* Lanes with the same signal share its handler: the first installs it, all may remove it. */
int ke_kick_run(
	struct ke_lane **lanes, uint32_t count, uint64_t time_limit_ns,
	const volatile uint32_t *cancel)
{
	struct watch *watches;
	struct sigaction action, before;
	uint32_t index, started = 0, handlers;
	int error = check(lanes, count);

	if (error)
		return error;
	watches = calloc(count ? count : 1, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memset(&action, 0, sizeof(action));
	action.sa_handler = do_nothing;
	/* Nothing interrupts it: a kick that did would read a program counter in here, and be
	 * taken for one in the window. */
	sigfillset(&action.sa_mask);
	if (sigaction(KE_RESCUE_SIGNAL, &action, &before)) {
		error = -errno;
		free(watches);
		return error;
	}
	error = install(lanes, count);
	handlers = error ? 0 : count;
	for (index = 0; index < count && !error; index++) {
		error = start_vcpu(lanes[index]);
		started += !error;
		if (!error && has_kickers(lanes[index]))
			error = start_kickers(lanes[index]);
	}
	if (error)
		for (index = 0; index < started; index++)
			atomic_store(&lanes[index]->over, 1);
	if (started)
		supervise(lanes, started, time_limit_ns, cancel, watches);
	for (index = started; index > 0; index--)
		join(lanes[index - 1]);
	/* In the reverse order, for of two lanes with one signal the first one saved what was. */
	for (index = handlers; index > 0; index--) {
		int left = ke_handler_end(lanes[index - 1]);

		error = error ? error : left;
	}
	if (ke_give_back(KE_RESCUE_SIGNAL, &before) && !error)
		error = -EINVAL;
	free(watches);
	for (index = 0; index < started && !error; index++)
		error = atomic_load(&lanes[index]->failed);
	return error;
}
