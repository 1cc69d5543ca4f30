// SPDX-License-Identifier: GPL-2.0-only
/*
 * One batch of a benchmark: threads of this process, each with a vCPU of its own, issue one kind
 * of call again and again for a given time, all at once. The caller's thread watches: a batch that
 * does not end is ended as in run.c, by the stop word, then a repeating signal, then the end of
 * the process.
 *
 * Time, not number, bounds a batch, so that no thread runs alone while others have finished.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "disposition.h"
#include "native.h"
#include "running.h"

#define NS_PER_SECOND 1000000000ULL
#define SIGNAL_EVERY_NS 20000000ULL /* how often the rescue signal repeats */
#define EXIT_STATUS 70		    /* EX_SOFTWARE: not a verdict about the kernel */
#define WARM_UP_CALLS 256	    /* not timed: a vCPU's first run on another thread costs more */
#define BAD_ARGUMENT 1UL	    /* KVM_RUN takes none: EINVAL (api.rst 4.10) */

enum {
	WAIT,
	GO,
	ABANDON
};

struct batch {
	const struct ke_bench_request *request;
	unsigned int count;
	atomic_int start; /* WAIT, GO or ABANDON */
	atomic_int stop;
	atomic_int rescued; /* signals are sent: EINTR is theirs */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int arrived; /* these two under the lock */
	unsigned int ended;
	int broken; /* -errno: the host did not do its part */
};

struct worker {
	struct batch *batch;
	struct ke_bench_thread *thread;
	pthread_t handle;
	int over; /* under the lock */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void do_nothing(int signo)
{
	(void)signo;
}

/* Gives the guest what it reads, as a monitor does; a write needs no answer. */
static inline void answer(struct kvm_run *run)
{
	if (!KE_ARCH_ANSWER(run) && !run->mmio.is_write)
		run->mmio.data[0] = 1;
}

/* One call; 1 when it did what a call of this kind must do. */
static inline int call(int kind, struct ke_bench_thread *thread, struct batch *batch)
{
	int value, again = 0;

	switch (kind) {
	case KE_BENCH_IMMEDIATE:
		value = ioctl(thread->vcpu_fd, KVM_RUN, 0);
		if (value == -1 && errno == EINTR)
			return 1;
		break;
	case KE_BENCH_EXIT:
		/*
		 * EINTR without a signal is legal (running.h), and no exit of the guest's program.
		 * Relaxed: a signal that is overlooked by it is sent again.
		 */
		do
			value = ioctl(thread->vcpu_fd, KVM_RUN, 0);
		while (value == -1 && errno == EINTR && thread->run->exit_reason == KVM_EXIT_INTR &&
		       !atomic_load_explicit(&batch->rescued, memory_order_relaxed) &&
		       again++ < KE_MOST_FOR_NOTHING);
		if (value == 0 && thread->run->exit_reason == thread->exit_reason) {
			answer(thread->run);
			return 1;
		}
		break;
	case KE_BENCH_EINVAL:
		value = ioctl(thread->vcpu_fd, KVM_RUN, BAD_ARGUMENT);
		if (value == -1 && errno == EINVAL)
			return 1;
		break;
	default: /* not getppid(3): a C library may remember the answer */
		value = (int)syscall(SYS_getppid);
		if (value >= 0)
			return 1;
		break;
	}
	thread->unexpected = 1;
	thread->value = value;
	thread->error = value < 0 ? errno : 0;
	thread->found_reason = thread->run ? thread->run->exit_reason : 0;
	return 0;
}

/*
 * Until "stop", an unexpected result, or the limit; one call at least. Relaxed is enough for
 * "stop": it only asks for the end, and what the thread leaves behind is published by the lock when
 * it says so.
 */
static inline __attribute__((always_inline)) uint64_t
loop(int kind, struct ke_bench_thread *thread, struct batch *batch, uint64_t limit)
{
	uint64_t calls;

	for (calls = 0; calls < limit; calls++) {
		if (!call(kind, thread, batch))
			break;
		if (atomic_load_explicit(&batch->stop, memory_order_relaxed))
			return calls + 1;
	}
	return calls;
}

/* The kind is a constant in each loop, so that a call is not chosen anew each time. */
static uint64_t calls(int kind, struct ke_bench_thread *thread, struct batch *batch, uint64_t limit)
{
	switch (kind) {
	case KE_BENCH_IMMEDIATE:
		return loop(KE_BENCH_IMMEDIATE, thread, batch, limit);
	case KE_BENCH_EXIT:
		return loop(KE_BENCH_EXIT, thread, batch, limit);
	case KE_BENCH_EINVAL:
		return loop(KE_BENCH_EINVAL, thread, batch, limit);
	default:
		return loop(KE_BENCH_GETPPID, thread, batch, limit);
	}
}

static int pin(int cpu)
{
	cpu_set_t *set = cpu < 0 ? NULL : CPU_ALLOC((size_t)cpu + 1);
	size_t size;
	int pinned;

	if (!set)
		return 0;
	size = CPU_ALLOC_SIZE((size_t)cpu + 1);
	CPU_ZERO_S(size, set);
	CPU_SET_S((size_t)cpu, size, set);
	pinned = sched_setaffinity(0, size, set) == 0;
	CPU_FREE(set);
	return pinned;
}

/* Waits for the others: the last one lets all go. 0 when the batch is called off. */
static int wait_for_start(struct batch *batch)
{
	int start;

	pthread_mutex_lock(&batch->lock);
	if (++batch->arrived == batch->count) {
		/* Release, and acquire below: whoever goes sees all that was there before. */
		atomic_store_explicit(&batch->start, GO, memory_order_release);
		pthread_cond_signal(&batch->changed);
	}
	pthread_mutex_unlock(&batch->lock);
	while ((start = atomic_load_explicit(&batch->start, memory_order_acquire)) == WAIT)
		sched_yield(); /* there may be more threads than processors */
	return start == GO;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct ke_bench_thread *thread = worker->thread;
	struct batch *batch = worker->batch;
	int kind = batch->request->kind;
	uint64_t from_ns, cpu_from_ns;

	thread->pinned = pin(thread->cpu);
	if (thread->run)
		thread->run->immediate_exit = kind == KE_BENCH_IMMEDIATE;
	calls(kind, thread, batch, WARM_UP_CALLS);
	if (wait_for_start(batch) && !thread->unexpected) {
		cpu_from_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		/* Raw: its rate does not change while the time daemon sets the clock right. */
		from_ns = clock_ns(CLOCK_MONOTONIC_RAW);
		thread->calls = calls(kind, thread, batch, UINT64_MAX);
		thread->elapsed_ns = clock_ns(CLOCK_MONOTONIC_RAW) - from_ns;
		thread->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_from_ns;
	}
	if (thread->run)
		thread->run->immediate_exit = 0;
	pthread_mutex_lock(&batch->lock);
	worker->over = 1;
	batch->ended++;
	pthread_cond_signal(&batch->changed);
	pthread_mutex_unlock(&batch->lock);
	return NULL;
}

/* Until the count is full: 1; 0 when the time came first. */
static int wait_until(struct batch *batch, const unsigned int *count, uint64_t deadline_ns)
{
	struct timespec deadline = {
		(time_t)(deadline_ns / NS_PER_SECOND), (long)(deadline_ns % NS_PER_SECOND)};

	while (*count < batch->count) {
		int error = pthread_cond_timedwait(&batch->changed, &batch->lock, &deadline);

		if (error && error != ETIMEDOUT)
			batch->broken = -error;
		if (error)
			return *count >= batch->count;
	}
	return 1;
}

static void end_process(uint64_t waited_ns, unsigned int signals)
{
	fprintf(stderr,
		"Error: a batch of calls did not end within %.1f s: neither the stop word in the "
		"guest nor %u signals to its threads ended it. The process ends here, for the "
		"threads cannot be brought back.\n",
		(double)waited_ns / (double)NS_PER_SECOND, signals);
	_exit(EXIT_STATUS);
}

/* Called with the lock held; returns when all have ended. */
static void rescue(struct batch *batch, struct worker *workers, unsigned int started)
{
	uint64_t from_ns = ke_true_ns(), deadline = from_ns;
	struct sigaction action, before;
	unsigned int signals = 0;

	for (unsigned int i = 0; i < started; i++)
		if (workers[i].thread->stop)
			/* One access: the guest reads the word meanwhile. */
			__atomic_store_n(workers[i].thread->stop, 1, __ATOMIC_RELEASE);
	deadline += batch->request->signal_after_ns;
	if (wait_until(batch, &batch->ended, deadline))
		return;
	memset(&action, 0, sizeof(action));
	action.sa_handler = do_nothing;
	sigemptyset(&action.sa_mask);
	if (sigaction(KE_RESCUE_SIGNAL, &action, &before))
		batch->broken = -errno;
	atomic_store_explicit(&batch->rescued, 1, memory_order_relaxed);
	do {
		for (unsigned int i = 0; i < started; i++)
			if (!workers[i].over && pthread_kill(workers[i].handle, KE_RESCUE_SIGNAL))
				batch->broken = -EAGAIN;
		signals++;
		deadline += SIGNAL_EVERY_NS;
		if (ke_true_ns() - from_ns > batch->request->end_after_ns)
			end_process(ke_true_ns() - from_ns, signals);
	} while (!wait_until(batch, &batch->ended, deadline));
	/* What is still pending to a thread goes with the thread; join before the handler goes. */
	pthread_mutex_unlock(&batch->lock);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(workers[i].handle, NULL);
	pthread_mutex_lock(&batch->lock);
	if (ke_give_back(KE_RESCUE_SIGNAL, &before))
		batch->broken = -errno;
	batch->count = 0; /* nobody is left to be joined */
}

/* The threads take the rescue signal only: every other one is for the caller's thread. */
static unsigned int start_workers(struct batch *batch, struct worker *workers, int *error)
{
	unsigned int started = 0;
	sigset_t blocked, before;

	sigfillset(&blocked);
	sigdelset(&blocked, KE_RESCUE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	for (*error = 0; started < batch->count; started++) {
		*error = pthread_create(&workers[started].handle, NULL, work, &workers[started]);
		if (*error)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

/* Called with the lock held: 1 when the batch had to be rescued. */
static int watch(struct batch *batch, struct worker *workers)
{
	const struct ke_bench_request *request = batch->request;
	int hung;

	hung = !wait_until(batch, &batch->arrived, ke_true_ns() + request->patience_ns);
	if (!hung)
		wait_until(batch, &batch->ended, ke_true_ns() + request->batch_ns);
	else
		atomic_store_explicit(&batch->start, ABANDON, memory_order_release);
	atomic_store_explicit(&batch->stop, 1, memory_order_relaxed);
	if (!hung)
		hung = !wait_until(batch, &batch->ended, ke_true_ns() + request->patience_ns);
	if (hung)
		rescue(batch, workers, batch->count);
	return hung;
}

/*
 * 0: every thread ended by itself; 1: the batch had to be rescued; -errno: it was not begun. What
 * each thread found is in "threads".
 */
int ke_bench(
	const struct ke_bench_request *request, struct ke_bench_thread *threads, unsigned int count)
{
	struct batch batch = {.request = request, .count = count};
	struct worker *workers = calloc(count ? count : 1, sizeof(*workers));
	pthread_condattr_t monotonic;
	unsigned int started;
	int error, hung = 0;

	if (!workers)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		workers[i].batch = &batch;
		workers[i].thread = &threads[i];
	}
	/* None of these four fails with the C libraries at hand; all take memory that is there. */
	if (pthread_condattr_init(&monotonic) ||
	    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) ||
	    pthread_mutex_init(&batch.lock, NULL) ||
	    pthread_cond_init(&batch.changed, &monotonic)) {
		free(workers);
		return -ENOTSUP;
	}
	pthread_condattr_destroy(&monotonic);

	started = start_workers(&batch, workers, &error);
	pthread_mutex_lock(&batch.lock);
	if (error) {
		atomic_store_explicit(&batch.stop, 1, memory_order_relaxed);
		atomic_store_explicit(&batch.start, ABANDON, memory_order_release);
		batch.count = started;
		if (!wait_until(&batch, &batch.ended, ke_true_ns() + request->patience_ns))
			rescue(&batch, workers, started);
	} else {
		hung = watch(&batch, workers);
	}
	pthread_mutex_unlock(&batch.lock);
	for (unsigned int i = 0; i < batch.count; i++)
		pthread_join(workers[i].handle, NULL);
	pthread_cond_destroy(&batch.changed);
	pthread_mutex_destroy(&batch.lock);
	free(workers);
	if (error || batch.broken)
		return error ? -error : batch.broken;
	return hung;
}
