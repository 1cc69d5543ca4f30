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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "calling_thread.h"
#include "clock.h"
#include "disposition.h"
#include "last_words.h"
#include "native.h"
#include "running.h"
#include "senders.h"

#define NS_PER_SECOND 1000000000ULL
#define LOOK_EVERY_NS 10000000ULL   /* how often the standing-by thread looks at the run */
#define SIGNAL_EVERY_NS 20000000ULL /* how often the rescue signal repeats */
#define NO_REASON UINT32_MAX	    /* a value of exit_reason that no kernel writes */

struct watch {
	const struct ke_run_request *request;
	struct ke_run_result *result;
	pid_t thread;
	uint64_t started_ns;
	pthread_mutex_t lock;
	pthread_cond_t over;
	int done;
	int broken;  /* -errno: the host did not do its part, and nothing is known of the kernel */
	int refused; /* -errno where the last rescue signal could not be queued; 0 when it was */
	int gone;    /* there is no such thread any more, although KVM_RUN has not returned */
};

static uint64_t now_ns(void)
{
	return ke_true_ns();
}

/* For Python, whose own clock is the C library's. */
uint64_t ke_clock_ns(void)
{
	return ke_true_ns();
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

/* The first thing that went wrong is told. */
static void spoil(struct watch *watch, int error)
{
	if (!watch->broken)
		watch->broken = error;
}

/* 1 when the run is over, 0 when the time came first. */
static int wait_until(struct watch *watch, uint64_t deadline_ns)
{
	struct timespec deadline = {
		(time_t)(deadline_ns / NS_PER_SECOND), (long)(deadline_ns % NS_PER_SECOND)};

	while (!watch->done) {
		int error = pthread_cond_timedwait(&watch->over, &watch->lock, &deadline);

		if (error && error != ETIMEDOUT) {
			/* Nothing is known of the kernel now, but the run must still be ended. */
			spoil(watch, -error);
			pthread_mutex_unlock(&watch->lock);
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
			pthread_mutex_lock(&watch->lock);
		}
		if (error)
			return watch->done;
	}
	return 1;
}

/*
 * Waits so long for the end of the run, with `moves` only until the guest moves; 1 when it is over.
 * It is this thread's own time: a look counts as long as it was meant to be, so that a host that is
 * starved or stopped has as many of them.
 */
static int wait_for_end(struct watch *watch, uint64_t span_ns, const uint32_t *moves)
{
	uint64_t from_ns = now_ns();

	for (uint64_t waited = 0; waited < span_ns; waited += LOOK_EVERY_NS) {
		if (wait_until(watch, now_ns() + LOOK_EVERY_NS))
			return 1;
		if (moves && word(moves) != watch->result->heartbeat_before)
			return 0;
	}
	/* Looks that were shorter than they were meant to be: somebody fakes this process's time.
	 */
	if (now_ns() - from_ns < span_ns)
		spoil(watch, -ETIME);
	return watch->done;
}

/* Several runs of one process may be rescued at once: the last one gives the signal back. */
static pthread_mutex_t rescue_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int rescues;
static struct sigaction before_rescues;

/* 0, or -errno. */
static int borrow_rescue_signal(void)
{
	struct sigaction rescue;
	int error = 0;

	memset(&rescue, 0, sizeof(rescue));
	rescue.sa_handler = do_nothing;
	sigemptyset(&rescue.sa_mask);
	pthread_mutex_lock(&rescue_lock);
	if (!rescues && sigaction(KE_RESCUE_SIGNAL, &rescue, &before_rescues))
		error = -errno;
	else
		rescues++;
	pthread_mutex_unlock(&rescue_lock);
	return error;
}

/* 0, or -errno. */
static int give_rescue_signal_back(void)
{
	int error = 0;

	pthread_mutex_lock(&rescue_lock);
	if (!--rescues)
		error = ke_give_back(KE_RESCUE_SIGNAL, &before_rescues);
	pthread_mutex_unlock(&rescue_lock);
	return error;
}

static void end_process(const struct watch *watch)
{
	int error = watch->broken ? watch->broken : watch->refused;

	if (error)
		ke_last_words(
			"the watch over a KVM_RUN broke (%s), and the run cannot be ended from outside: "
			"this " KE_NOT_THE_KERNEL " The process ends here.\n",
			strerror(-error));
	if (watch->gone)
		ke_last_words(
			"the thread that called KVM_RUN is gone, and the call has not returned: the kernel "
			"ended it. The process ends here.\n");
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
	int error;

	pthread_mutex_lock(&watch->lock);
	if (wait_for_end(
		    watch, request->patience_ns,
		    request->progress_forbidden ? request->heartbeat : NULL))
		goto out;

	result->rescued_at_ns = now_ns() - watch->started_ns;
	result->heartbeat_at_rescue = word(request->heartbeat);
	set_rescue(result, KE_RESCUED_BY_STOP_WORD);
	if (request->stop)
		/* Release: whoever sees the word set sees the evidence taken before it. */
		__atomic_store_n(request->stop, 1, __ATOMIC_RELEASE);
	if (wait_for_end(watch, request->stop ? request->signal_after_ns : 0, NULL))
		goto out;

	error = borrow_rescue_signal();
	if (error) {
		spoil(watch, error);
		end_process(watch);
	}
	set_rescue(result, KE_RESCUED_BY_SIGNAL);
	do {
		/* The queue of pending signals may be full: the sentence must not say "no answer".
		 */
		int refused = syscall(SYS_tgkill, getpid(), watch->thread, KE_RESCUE_SIGNAL);

		watch->refused = refused && errno == EAGAIN ? -errno : 0;
		watch->gone = refused && errno == ESRCH;
		if (watch->gone)
			end_process(watch);
		result->rescue_signals++;
		/* Counted in signals for the reason that patience is in looks. */
		if (result->rescue_signals * SIGNAL_EVERY_NS >= request->end_after_ns)
			end_process(watch);
	} while (!wait_until(watch, now_ns() + SIGNAL_EVERY_NS));
	error = give_rescue_signal_back();
	if (error)
		spoil(watch, error);
out:
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

/* A rescue signal that came too late must not meet the handler of whoever is next. */
static void drain_rescue_signals(struct watch *watch)
{
	struct timespec at_once = {0, 0};
	sigset_t rescue, before;
	int error;

	sigemptyset(&rescue);
	sigaddset(&rescue, KE_RESCUE_SIGNAL);
	error = pthread_sigmask(SIG_BLOCK, &rescue, &before);
	while (!error && sigtimedwait(&rescue, NULL, &at_once) > 0)
		;
	if (!error)
		error = pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		spoil(watch, -error);
}

static int make_condition(struct watch *watch)
{
	pthread_condattr_t monotonic;
	int error = pthread_condattr_init(&monotonic);

	if (error)
		return error;
	error = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	if (!error)
		error = pthread_cond_init(&watch->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return error;
}

/* 0, or an errno. */
static int start_watch(struct watch *watch, pthread_t *thread)
{
	uint64_t before, all;
	int error = pthread_mutex_init(&watch->lock, NULL);

	if (error)
		return error;
	error = make_condition(watch);
	if (error)
		goto no_condition;
	/*
	 * The watching thread takes no signal that a test sends to the process. Not by
	 * pthread_sigmask(), which never blocks signals 32 and 33, and so would let in what pends.
	 */
	error = -ke_block_exactly(UINT64_MAX, &before);
	if (error)
		goto no_thread;
	error = pthread_create(thread, NULL, stand_by, watch);
	if (ke_block_exactly(before, &all))
		spoil(watch, -EINVAL); /* the thread may be deaf now */
	if (!error)
		return 0;
no_thread:
	pthread_cond_destroy(&watch->over);
no_condition:
	pthread_mutex_destroy(&watch->lock);
	return error;
}

static void end_watch(struct watch *watch, pthread_t thread)
{
	pthread_mutex_lock(&watch->lock);
	if (watch->result->rescue == KE_RESCUED_BY_SIGNAL)
		drain_rescue_signals(watch);
	watch->done = 1;
	pthread_cond_signal(&watch->over);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&watch->over);
	pthread_mutex_destroy(&watch->lock);
}

/* Whether the rescue could signal at all: RLIMIT_SIGPENDING may forbid every real-time signal. */
static int can_signal(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_SIGPENDING, &limit) || limit.rlim_cur > 0;
}

/* Whether a signal pends that KVM_RUN lets in and this thread does not. */
static int lets_in_a_signal(const struct ke_run_request *request)
{
	sigset_t pending;

	if (!request->masked)
		return 0; /* what pends is blocked in KVM_RUN as well */
	if (sigpending(&pending))
		return 1;
	for (int signo = 1; signo <= 64; signo++)
		if (sigismember(&pending, signo) == 1 && !(request->mask >> (signo - 1) & 1))
			return 1;
	return 0;
}

static int issue(const struct ke_run_request *request)
{
	long value;

	if (!request->thread)
		return ioctl(request->vcpu_fd, KVM_RUN, request->argument);
	value = ke_thread_run(request->thread, request->vcpu_fd, request->argument);
	if (value < 0)
		errno = (int)-value;
	return value < 0 ? -1 : (int)value;
}

/*
 * One KVM_RUN, and 1 when it ended for nothing: EINTR with KVM_EXIT_INTR, as if by a signal,
 * although the byte was 0 and no handler of ours ran and nothing pends. That is legal: work for the
 * thread ends KVM_RUN in the same way (xfer_to_guest_mode_handle_work(), commit 3e684903a8574).
 *
 * An immediate exit leaves exit_reason alone, so a KVM_EXIT_INTR of the run before would hide one
 * that must not be. Where that is what stands there it is replaced meanwhile: no architecture
 * completes anything by this reason, and with the byte set nothing is replaced.
 */
static int run_once(
	const struct ke_run_request *request, struct ke_run_result *result,
	const struct ke_running *slot, uint32_t handled)
{
	struct kvm_run *run = request->run;
	const uint8_t *byte = run ? &run->immediate_exit : NULL;
	int clear, marked, intr;

	/* As it is now: a kernel that obeys the byte and clears it must not pass for another. */
	clear = run && !__atomic_load_n(byte, __ATOMIC_RELAXED);
	marked = clear && run->exit_reason == KVM_EXIT_INTR;
	if (marked)
		run->exit_reason = NO_REASON;
	result->value = issue(request);
	result->error = result->value < 0 ? errno : 0;
	if (!run)
		return 0;
	intr = run->exit_reason == KVM_EXIT_INTR;
	if (marked && run->exit_reason == NO_REASON)
		run->exit_reason = KVM_EXIT_INTR;
	result->interrupted = result->error == EINTR && intr;
	return request->goes_on && result->interrupted && clear && slot && !request->argument &&
	       !__atomic_load_n(byte, __ATOMIC_RELAXED) &&
	       atomic_load_explicit(&slot->handled, memory_order_relaxed) == handled &&
	       !lets_in_a_signal(request) && !rescued(result);
}

/*
 * KVM_RUN, and again whenever it ended for nothing. Both the handlers and the kernel read the byte
 * on this thread, so relaxed stores in program order are enough: running.h says what they are for.
 */
static void
run_on(const struct ke_run_request *request, struct ke_run_result *result, struct ke_running *slot)
{
	uint32_t handled = slot ? atomic_load_explicit(&slot->handled, memory_order_relaxed) : 0;
	uint32_t heartbeat = word(request->heartbeat), idle = 0;

	while (run_once(request, result, slot, handled)) {
		uint32_t now = word(request->heartbeat);

		idle = now == heartbeat ? idle + 1 : 1;
		heartbeat = now;
		if (idle >= KE_MOST_FOR_NOTHING)
			break;
		atomic_store_explicit(
			&slot->again, &request->run->immediate_exit, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		/* Before that store a handler did not know; behind it, it sets the byte. */
		if (atomic_load_explicit(&slot->handled, memory_order_relaxed) != handled)
			break;
		result->spurious++;
	}
	if (!slot)
		return;
	atomic_store_explicit(&slot->again, NULL, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_exchange_explicit(&slot->lent, 0, memory_order_relaxed))
		__atomic_store_n(&request->run->immediate_exit, 0, __ATOMIC_RELAXED);
}

/*
 * 0 when KVM_RUN was issued and came back: what it said is in "result". -errno when the host did
 * not do its part: no watching thread (then KVM_RUN was not issued), no signals, no clock.
 */
int ke_run(const struct ke_run_request *request, struct ke_run_result *result)
{
	struct watch watch = {.request = request, .result = result};
	struct ke_running *slot;
	pthread_t thread;
	int error;

	memset(result, 0, sizeof(*result));
	if (!can_signal())
		return -EAGAIN;
	watch.thread = (pid_t)syscall(SYS_gettid);
	result->heartbeat_before = word(request->heartbeat);
	watch.started_ns = now_ns();
	if (!watch.started_ns)
		return -ETIME;
	error = start_watch(&watch, &thread);
	if (error)
		return -error;
	slot = ke_running_begin(watch.thread);
	do {
		run_on(request, result, slot);
	} while (++result->runs < request->times && result->error == EINTR && !rescued(result));
	ke_running_end(slot);
	result->elapsed_ns = now_ns() - watch.started_ns;
	end_watch(&watch, thread);
	result->heartbeat_after = word(request->heartbeat);
	return watch.broken;
}
