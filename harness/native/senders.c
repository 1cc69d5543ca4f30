// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways to a signal that Python and the C library do not have, and masks and waits that glibc keeps
 * from us: signals 32 and 33, which are its own, are signals like others to the kernel.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "senders.h"

/* The kernel's sigset_t: MIPS has 128 signals, of which 64 are ours. */
#ifdef __mips__
#define SIGSET_WORDS 2
#else
#define SIGSET_WORDS 1
#endif

struct kernel_sigset {
	uint64_t words[SIGSET_WORDS];
};

/* What a thread with "tid", or with 0 the whole process, is sent by sigqueue(3): 0 or -errno. */
int ke_sigqueue(int tid, int signo)
{
	siginfo_t info;
	long error;

	memset(&info, 0, sizeof(info));
	info.si_signo = signo;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	error = tid ? syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signo, &info)
		    : syscall(SYS_rt_sigqueueinfo, getpid(), signo, &info);
	return error ? -errno : 0;
}

/*
 * A child that waits for the end of a pipe, sends its parent a signal if there is one to send, and
 * is gone. The child's pid, or -errno. "other_end" is the end that the parent keeps.
 */
int ke_child_at(int fd, int other_end, int signo)
{
	pid_t child = ke_fork();
	char byte;

	if (child)
		return child < 0 ? -errno : child;
	close(other_end);
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(signo ? kill(getppid(), signo) != 0 : 0);
}

/* Exactly these signals are blocked in this thread, bit 0 for signal 1: 0 or -errno. */
int ke_block_exactly(uint64_t signals, uint64_t *before)
{
	struct kernel_sigset set = {{signals}}, old = {{0}};

	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, &old, sizeof(set)))
		return -errno;
	*before = old.words[0];
	return 0;
}

/* Takes one pending signal away: 1, or 0 when there is none, or -errno. */
int ke_take_pending(int signo)
{
	struct kernel_sigset set = {{UINT64_C(1) << (signo - 1)}};
	struct timespec at_once = {0, 0};

	if (syscall(SYS_rt_sigtimedwait, &set, NULL, &at_once, sizeof(set)) > 0)
		return 1;
	return errno == EAGAIN ? 0 : -errno;
}

/* tgkill(2) to a thread of any process: 0 or -errno. */
int ke_signal_thread(int process, int tid, int signo)
{
	return syscall(SYS_tgkill, process, tid, signo) ? -errno : 0;
}

/* ptrace(2) of a thread, without address and data: 0 or -errno. */
int ke_ptrace(int request, int tid)
{
	return ptrace(request, tid, NULL, NULL) < 0 ? -errno : 0;
}

/*
 * A child that traces a thread of its parent as a debugger does, and hands each signal on to it;
 * whoever kills the child ends that. It has written one word to "ready" by then: 0 or -errno of
 * PTRACE_SEIZE. The child's pid, or -errno.
 */
int ke_child_tracer(int tid, int ready)
{
	pid_t child = ke_fork();
	int status, error;

	if (child)
		return child < 0 ? -errno : child;
	error = ke_ptrace(PTRACE_SEIZE, tid);
	if (write(ready, &error, sizeof(error)) != sizeof(error) || error)
		_exit(1);
	/* A stop of another kind than by a signal has an event in the upper bits. */
	while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status))
		if (ptrace(PTRACE_CONT, tid, NULL,
			   (void *)(long)(status >> 16 ? 0 : WSTOPSIG(status))) < 0)
			break;
	_exit(0);
}

/* Yama: which process may trace this one, -1 for any, 0 for none. No error: without it all may. */
void ke_be_traced_by(long pid)
{
	(void)prctl(PR_SET_PTRACER, pid, 0, 0, 0);
}
