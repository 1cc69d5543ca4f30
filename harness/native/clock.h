/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own clock, past the C library: a preloaded one may tell another time. */
#ifndef KE_CLOCK_H
#define KE_CLOCK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* CLOCK_MONOTONIC, ns; 0 when there is none, which no host that runs for 1 ns says by itself. */
static inline uint64_t ke_true_ns(void)
{
	struct timespec now;

	if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now))
		return 0;
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

#endif
