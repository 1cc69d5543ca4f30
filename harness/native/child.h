/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child of fork() in a process with threads. Only the calling thread is in it, and what the other
 * threads had locked stays locked there for ever: it may make async-signal-safe calls and _exit(),
 * and never comes back to Python.
 */
#ifndef KE_CHILD_H
#define KE_CHILD_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

/* fork(); but the child is killed when the calling thread is gone, however that came. */
static inline pid_t ke_fork(void)
{
	pid_t parent = getpid();
	pid_t child = fork();

	if (child)
		return child;
	/* It fails only where a sandbox forbids it: then the child is not tied to its parent. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A parent that was gone before sends no signal any more. */
	if (getppid() != parent)
		_exit(1);
	return 0;
}

#endif
