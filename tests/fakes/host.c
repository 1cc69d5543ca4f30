// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded by tests: a host that does not do its part, as FAKE_HOST says.
 *
 * frozen: the C library's clock stands; fast: it goes a thousand times as fast; no_thread: threads
 * cannot be made; no_condition: the wait for a condition fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int is(const char *what)
{
	const char *how = getenv("FAKE_HOST");

	return how && !strcmp(how, what);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static struct timespec first;
	int value = (int)syscall(SYS_clock_gettime, clock, now);

	if (clock != CLOCK_MONOTONIC)
		return value;
	if (!first.tv_sec)
		first = *now;
	if (is("frozen"))
		*now = first;
	else if (is("fast"))
		now->tv_sec = first.tv_sec + 1000 * (now->tv_sec - first.tv_sec) +
			      (now->tv_nsec - first.tv_nsec) / 1000000;
	return value;
}

int pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
		dlsym(RTLD_NEXT, "pthread_create");

	return is("no_thread") ? EAGAIN : real(thread, attributes, body, argument);
}

int pthread_cond_timedwait(
	pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until)
{
	int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
		dlsym(RTLD_NEXT, "pthread_cond_timedwait");

	return is("no_condition") ? EINVAL : real(condition, lock, until);
}
