/* SPDX-License-Identifier: GPL-2.0-only */
/* What a signal does to the process, borrowed and given back; and the one that ends lost runs. */
#ifndef KE_DISPOSITION_H
#define KE_DISPOSITION_H

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Ends a KVM_RUN that does not come back by itself. No monitor and no C library uses it. */
#define KE_RESCUE_SIGNAL (SIGRTMAX - 3)

/*
 * Gives a signal's disposition back: 0 or -errno. A thread that was sent the signal may not have
 * taken it yet, however long ago that was: it had no processor. (Thread.join() of Python up to 3.12
 * returns before the thread has left the kernel for the last time.) With the default action back in
 * place that late signal would end the process. To ignore it discards what is pending, of all
 * threads (sigaction(2), do_sigaction() in kernel/signal.c), so that comes first.
 */
static inline int ke_give_back(int signo, const struct sigaction *before)
{
	struct sigaction ignore;

	memset(&ignore, 0, sizeof(ignore));
	ignore.sa_handler = SIG_IGN;
	sigemptyset(&ignore.sa_mask);
	if (sigaction(signo, &ignore, NULL) || sigaction(signo, before, NULL))
		return -errno;
	return 0;
}

#endif
