// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals as the suites need them: handlers in C that count (Python's own run later, elsewhere),
 * signals to one thread, and timers that signal one thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "disposition.h"
#include "native.h"
#include "running.h"
#include "thread_timer.h"

#define SIGNALS 65
#define TIMERS 16

static _Atomic uint64_t handled[SIGNALS];
static _Atomic pid_t taker[SIGNALS]; /* the thread that took the last one */
static _Atomic(uint8_t *) target[SIGNALS];
static struct sigaction before[SIGNALS];
static timer_t timers[TIMERS];
static _Atomic int timer_used[TIMERS];

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "handlers may touch lock-free atomics only");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "handlers may touch lock-free atomics only");
_Static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "handlers may touch lock-free atomics only");

/* Threads that are in ke_run(); one slot each. */
static struct ke_running running[KE_MOST_RUNNING];

struct ke_running *ke_running_begin(pid_t thread)
{
	for (int index = 0; index < KE_MOST_RUNNING; index++) {
		pid_t nobody = 0;

		if (atomic_load_explicit(&running[index].thread, memory_order_relaxed))
			continue;
		/* Acquire, against the release of who had the slot before. Its handlers are done:
		 * they ran on that thread. */
		if (atomic_compare_exchange_strong_explicit(
			    &running[index].thread, &nobody, thread, memory_order_acquire,
			    memory_order_relaxed))
			return &running[index];
	}
	return NULL;
}

void ke_running_end(struct ke_running *slot)
{
	if (!slot)
		return;
	atomic_store_explicit(&slot->again, NULL, memory_order_relaxed);
	atomic_store_explicit(&slot->lent, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->thread, 0, memory_order_release);
}

/*
 * Tells the run of this thread, if there is one, that a signal came: see running.h. Relaxed: the
 * thread that reads what is stored here is this very thread. (gettid(2) sets no errno.)
 */
static void tell_run(void)
{
	pid_t self = (pid_t)syscall(SYS_gettid);

	for (int index = 0; index < KE_MOST_RUNNING; index++) {
		struct ke_running *slot = &running[index];
		uint8_t *byte;

		if (atomic_load_explicit(&slot->thread, memory_order_relaxed) != self)
			continue;
		atomic_fetch_add_explicit(&slot->handled, 1, memory_order_relaxed);
		byte = atomic_load_explicit(&slot->again, memory_order_relaxed);
		/* Only over a 0: another thread may set the byte at the same time, and keeps it. */
		if (byte && !__sync_val_compare_and_swap(byte, 0, 1))
			atomic_store_explicit(&slot->lent, 1, memory_order_relaxed);
	}
}

/*
 * Relaxed is enough: the counter is read after the thread was joined or by the thread itself, and
 * the byte is read by the kernel on this very thread, after the handler has returned.
 */
static void count(int signo)
{
	uint8_t *byte = atomic_load_explicit(&target[signo], memory_order_relaxed);

	if (byte)
		*(volatile uint8_t *)byte = 1;
	tell_run();
	atomic_store_explicit(&taker[signo], (pid_t)syscall(SYS_gettid), memory_order_relaxed);
	atomic_fetch_add_explicit(&handled[signo], 1, memory_order_relaxed);
}

int ke_handler_install(int signo, int flags)
{
	struct sigaction action;

	if (signo < 1 || signo >= SIGNALS)
		return -EINVAL;
	memset(&action, 0, sizeof(action));
	action.sa_handler = count;
	action.sa_flags = flags;
	sigemptyset(&action.sa_mask);
	atomic_store(&handled[signo], 0);
	atomic_store(&target[signo], NULL);
	return sigaction(signo, &action, &before[signo]) ? -errno : 0;
}

/* SIG_IGN or SIG_DFL; undone by ke_handler_remove(), whoever's handler was there before. */
int ke_disposition_set(int signo, int ignored)
{
	struct sigaction action;

	if (signo < 1 || signo >= SIGNALS)
		return -EINVAL;
	memset(&action, 0, sizeof(action));
	action.sa_handler = ignored ? SIG_IGN : SIG_DFL;
	sigemptyset(&action.sa_mask);
	return sigaction(signo, &action, &before[signo]) ? -errno : 0;
}

int ke_handler_remove(int signo)
{
	if (signo < 1 || signo >= SIGNALS)
		return -EINVAL;
	return ke_give_back(signo, &before[signo]);
}

uint64_t ke_handler_count(int signo)
{
	return signo < 1 || signo >= SIGNALS ? 0 : atomic_load(&handled[signo]);
}

int ke_handler_taker(int signo)
{
	return signo < 1 || signo >= SIGNALS ? 0 : atomic_load(&taker[signo]);
}

void ke_handler_target(int signo, uint8_t *byte)
{
	if (signo >= 1 && signo < SIGNALS)
		atomic_store(&target[signo], byte);
}

int ke_tgkill(int tid, int signo)
{
	return syscall(SYS_tgkill, getpid(), tid, signo) ? -errno : 0;
}

/* A timer that signals one thread, or the process (tid 0); the value is a handle for
 * ke_timer_stop(), or -errno. */
int ke_timer_start(int signo, int tid, uint64_t first_ns, uint64_t interval_ns)
{
	struct itimerspec when = {
		.it_value = {(time_t)(first_ns / 1000000000), (long)(first_ns % 1000000000)},
		.it_interval =
			{(time_t)(interval_ns / 1000000000), (long)(interval_ns % 1000000000)},
	};
	int handle, error, free_one = 0;

	for (handle = 0; handle < TIMERS; handle++, free_one = 0)
		if (atomic_compare_exchange_strong(&timer_used[handle], &free_one, 1))
			break;
	if (handle == TIMERS)
		return -EAGAIN;
	error = ke_thread_timer(signo, tid, &timers[handle]);
	if (!error && timer_settime(timers[handle], 0, &when, NULL)) {
		error = -errno;
		timer_delete(timers[handle]);
	}
	if (error)
		atomic_store(&timer_used[handle], 0);
	return error ? error : handle;
}

int ke_timer_stop(int handle)
{
	int error;

	if (handle < 0 || handle >= TIMERS || !atomic_load(&timer_used[handle]))
		return -EINVAL;
	error = timer_delete(timers[handle]) ? -errno : 0;
	atomic_store(&timer_used[handle], 0);
	return error;
}
