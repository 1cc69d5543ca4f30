// SPDX-License-Identifier: GPL-2.0-only
/*
 * One bounded KVM_RUN, or many that give EINTR one after the other. A broken kernel may never come
 * back, so a second thread stands beside each run. It does not rely on what is tested: first it
 * writes the stop word, which the guest's program polls; then it signals the vCPU's thread again
 * and again; at last it ends the process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "last_words.h"
#include "native.h"

#define NS_PER_SECOND 1000000000ULL
#define LOOK_EVERY_NS 10000000ULL    /* how often the standing-by thread looks at the run */
#define SIGNAL_EVERY_NS 20000000ULL  /* how often the rescue signal repeats */
#define RESCUE_SIGNAL (SIGRTMAX - 3) /* no monitor and no C library uses it */

struct watch {
	const struct ke_run_request *request;
	struct ke_run_result *result;
	pid_t thread;
	uint64_t started_ns;
	pthread_mutex_t lock;
	pthread_cond_t over;
	int done;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* The guest writes the word while this thread reads it, so the load must be one access. */
static uint32_t word(const uint32_t *address)
{
	return address ? __atomic_load_n(address, __ATOMIC_ACQUIRE) : 0;
}

/* Relaxed: it only says that a rescue began; what it did is published by the lock. */
static int rescued(const struct ke_run_result *result)
{
	return __atomic_load_n(&result->rescue, __ATOMIC_RELAXED) != KE_NOT_RESCUED;
}

static void set_rescue(struct ke_run_result *result, uint32_t by)
{
	__atomic_store_n(&result->rescue, by, __ATOMIC_RELAXED);
}

static void do_nothing(int signo)
{
	(void)signo;
}

/* 1 when the run is over, 0 when the time came first. */
static int wait_until(struct watch *watch, uint64_t deadline_ns)
{
	struct timespec deadline = {
		(time_t)(deadline_ns / NS_PER_SECOND), (long)(deadline_ns % NS_PER_SECOND)};

	while (!watch->done)
		if (pthread_cond_timedwait(&watch->over, &watch->lock, &deadline) == ETIMEDOUT)
			return watch->done;
	return 1;
}

/*
 * Waits as long as the run may last; with progress forbidden, only until the guest moves. Patience
 * is this thread's own time: a look counts as long as it was meant to be, so that a host that is
 * starved or stopped has as many of them.
 */
static int wait_patiently(struct watch *watch)
{
	const struct ke_run_request *request = watch->request;

	for (uint64_t waited = 0; waited < request->patience_ns; waited += LOOK_EVERY_NS) {
		if (wait_until(watch, now_ns() + LOOK_EVERY_NS))
			return 1;
		if (request->progress_forbidden && request->heartbeat &&
		    word(request->heartbeat) != watch->result->heartbeat_before)
			return 0;
	}
	return 0;
}

static void end_process(const struct watch *watch)
{
	ke_last_words(
		"KVM_RUN did not return within %.1f s: neither the stop word in the guest nor %u "
		"signals to the vCPU's thread ended it; the guest counted from %u to %u. The process "
		"ends here, for the thread cannot be brought back.\n",
		(double)(now_ns() - watch->started_ns) / (double)NS_PER_SECOND,
		watch->result->rescue_signals, watch->result->heartbeat_before,
		word(watch->request->heartbeat));
}

static void *stand_by(void *argument)
{
	struct watch *watch = argument;
	const struct ke_run_request *request = watch->request;
	struct ke_run_result *result = watch->result;
	struct sigaction rescue, before;
	uint64_t from_ns;

	pthread_mutex_lock(&watch->lock);
	if (wait_patiently(watch))
		goto out;

	from_ns = now_ns();
	result->rescued_at_ns = from_ns - watch->started_ns;
	result->heartbeat_at_rescue = word(request->heartbeat);
	set_rescue(result, KE_RESCUED_BY_STOP_WORD);
	if (request->stop)
		/* Release: whoever sees the word set sees the evidence taken before it. */
		__atomic_store_n(request->stop, 1, __ATOMIC_RELEASE);
	if (wait_until(watch, from_ns + (request->stop ? request->signal_after_ns : 0)))
		goto out;

	memset(&rescue, 0, sizeof(rescue));
	rescue.sa_handler = do_nothing;
	sigaction(RESCUE_SIGNAL, &rescue, &before);
	set_rescue(result, KE_RESCUED_BY_SIGNAL);
	do {
		syscall(SYS_tgkill, getpid(), watch->thread, RESCUE_SIGNAL);
		result->rescue_signals++;
		/* Counted in signals for the reason that patience is in looks. */
		if (result->rescue_signals * SIGNAL_EVERY_NS >= request->end_after_ns)
			end_process(watch);
	} while (!wait_until(watch, now_ns() + SIGNAL_EVERY_NS));
	/* Safe now: the vCPU's thread drained what was pending before it said that it is done. */
	sigaction(RESCUE_SIGNAL, &before, NULL);
out:
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

/* A rescue signal that came too late must not meet the handler of whoever is next. */
static void drain_rescue_signals(void)
{
	struct timespec at_once = {0, 0};
	sigset_t rescue, before;

	sigemptyset(&rescue);
	sigaddset(&rescue, RESCUE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &rescue, &before);
	while (sigtimedwait(&rescue, NULL, &at_once) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int start_watch(struct watch *watch, pthread_t *thread)
{
	pthread_condattr_t monotonic;
	sigset_t all, before;
	int error;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&watch->lock, NULL);
	pthread_cond_init(&watch->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* The watching thread takes no signal that a test sends to the process. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, stand_by, watch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void end_watch(struct watch *watch, pthread_t thread)
{
	pthread_mutex_lock(&watch->lock);
	if (watch->result->rescue == KE_RESCUED_BY_SIGNAL)
		drain_rescue_signals();
	watch->done = 1;
	pthread_cond_signal(&watch->over);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&watch->over);
	pthread_mutex_destroy(&watch->lock);
}

/*
 * 0 when KVM_RUN was issued and came back: what it said is in "result". -errno when the watching
 * thread could not be started; then KVM_RUN was not issued.
 */
int ke_run(const struct ke_run_request *request, struct ke_run_result *result)
{
	struct watch watch = {.request = request, .result = result};
	pthread_t thread;
	int error;

	memset(result, 0, sizeof(*result));
	watch.thread = (pid_t)syscall(SYS_gettid);
	result->heartbeat_before = word(request->heartbeat);
	watch.started_ns = now_ns();
	error = start_watch(&watch, &thread);
	if (error)
		return -error;
	do {
		result->value = ioctl(request->vcpu_fd, KVM_RUN, request->argument);
		result->error = result->value < 0 ? errno : 0;
	} while (++result->runs < request->times && result->error == EINTR && !rescued(result));
	result->elapsed_ns = now_ns() - watch.started_ns;
	end_watch(&watch, thread);
	result->heartbeat_after = word(request->heartbeat);
	return 0;
}
