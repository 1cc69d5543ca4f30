/* SPDX-License-Identifier: GPL-2.0-only */
/* A POSIX timer that signals one thread (timer_create(2), SIGEV_THREAD_ID), or with 0 the process.
 */
#ifndef KE_THREAD_TIMER_H
#define KE_THREAD_TIMER_H

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* Older C libraries have the field, but not this name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Creates it, not yet armed: 0 or -errno. */
static inline int ke_thread_timer(int signo, pid_t tid, timer_t *timer)
{
	struct sigevent event;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = tid ? SIGEV_THREAD_ID : SIGEV_SIGNAL;
	event.sigev_signo = signo;
	if (tid)
		event.sigev_notify_thread_id = tid;
	return timer_create(CLOCK_MONOTONIC, &event, timer) ? -errno : 0;
}

#endif
