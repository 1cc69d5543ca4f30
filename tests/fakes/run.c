// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded by tests: an ioctl() whose KVM_RUN behaves as FAKE_KVM_RUN says. The call's argument
 * points at two words, the "guest's" heartbeat and stop word. Other requests reach the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int calls;

struct guest {
	volatile uint32_t heartbeat;
	volatile uint32_t stop;
};

static int fail(int error)
{
	errno = error;
	return -1;
}

/* The whole process stands still for half a second, and the run lasts some milliseconds more. */
static void be_stopped(void)
{
	pid_t child = fork();

	if (child < 0)
		abort();
	if (child == 0) {
		kill(getppid(), SIGSTOP);
		usleep(500000);
		kill(getppid(), SIGCONT);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	usleep(50000);
}

static int run(struct guest *guest)
{
	const char *how = getenv("FAKE_KVM_RUN");
	sigset_t all;

	calls++;
	if (!strcmp(how, "eintr"))
		return fail(EINTR);
	if (!strcmp(how, "is_stopped")) {
		be_stopped();
		return fail(EINTR);
	}
	if (!strcmp(how, "runs_until_stopped")) {
		while (!guest->stop)
			guest->heartbeat++;
		return 0;
	}
	if (!strcmp(how, "sleeps_until_signal")) {
		pause();
		return fail(EINTR);
	}
	if (!strcmp(how, "is_killed")) /* as the kernel ends a thread that oopses */
		syscall(SYS_exit, 0);
	if (!strcmp(how, "never_returns")) {
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		for (;;)
			guest->heartbeat++;
	}
	return fail(ENOSYS);
}

int fake_run_calls(void)
{
	return calls;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == KVM_RUN)
		return run(argument);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}
