/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What run.c and the handlers of signals.c share of a thread that is in KVM_RUN.
 *
 * KVM_RUN may end with EINTR for no reason that the caller knows of (work for the thread, SIGSTOP
 * and SIGCONT, a debugger), and is then called again. A signal that comes between the two calls
 * must not be lost: its handler runs before the second one, which would know nothing of it. So it
 * sets the byte then, as api.rst describes the kick, and the second call returns at once.
 */
#ifndef KE_RUNNING_H
#define KE_RUNNING_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define KE_MOST_RUNNING 64
/*
 * So many returns for nothing in a row, without any progress of the guest, are no chance: a sound
 * KVM makes one when its thread gets other work, which a host has some ten thousand times a second
 * at most, and patience ends first.
 */
#define KE_MOST_FOR_NOTHING 1000000

struct ke_running {
	_Atomic pid_t thread;	  /* 0: nobody */
	_Atomic uint32_t handled; /* runs of our handlers on this thread */
	_Atomic(uint8_t *) again; /* its immediate_exit, while KVM_RUN is called again; else NULL */
	_Atomic uint32_t lent;	  /* a handler has set that byte */
};

/* A slot for the calling thread, or NULL when all are taken. */
struct ke_running *ke_running_begin(pid_t thread);
void ke_running_end(struct ke_running *slot);

#endif
