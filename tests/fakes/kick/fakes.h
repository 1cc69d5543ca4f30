/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stand-ins for KVM_RUN (each a ke_run_function of kick.h): one with the kernel's contract, and
 * broken ones, each with one fault that the kick engine must find.
 */
#ifndef KICK_FAKES_H
#define KICK_FAKES_H

#include <stdint.h>

struct kvm_run;

#define KICK_FAKE(name)                                                           \
	int name(                                                                 \
		int fd, struct kvm_run *run, uint32_t *heartbeat, uint32_t *stop, \
		volatile uint32_t *entered, int signo, int masked)

KICK_FAKE(fake_sound);
KICK_FAKE(fake_sound_halted);		  /* the guest sleeps in the kernel */
KICK_FAKE(fake_exits);			  /* sound; the guest makes an exit every few turns */
KICK_FAKE(fake_ignores_byte);		  /* loses every kick that lands in the window */
KICK_FAKE(fake_loses_some);		  /* one byte in 10 is overlooked */
KICK_FAKE(fake_polls_byte_late);	  /* the guest runs first, then the byte is looked at */
KICK_FAKE(fake_misses_pending);		  /* a signal at the entry is seen at the next tick only */
KICK_FAKE(fake_misses_pending_preempted); /* ... at which the thread is scheduled out */
KICK_FAKE(fake_swallows);		  /* takes one signal in 10 away and runs on */
KICK_FAKE(fake_swallows_answers);	  /* takes one signal in 10 away, and answers EINTR */
KICK_FAKE(fake_wrong_exit);		  /* one run in 10,000 returns 0 */
KICK_FAKE(fake_wrong_exit_once);	  /* the 500th run of a thread returns 0 */
KICK_FAKE(fake_wrong_error);		  /* one run in 10,000 fails with EAGAIN */
KICK_FAKE(fake_wrong_interrupt);	  /* one run in 10,000 fails with EINTR, for nothing */
KICK_FAKE(fake_ends_for_nothing);	  /* sound; one turn in 10 ends the run with EINTR */
KICK_FAKE(fake_loses_and_ends);		  /* ignores the byte; one turn in 1,000 ends the run */
KICK_FAKE(fake_byte_unclaimed);		  /* the byte ends the run, yet with 0 */
KICK_FAKE(fake_sleeps);			  /* sleeps and sees neither kick nor stop word */
KICK_FAKE(fake_is_stopped);		  /* sound; its process is stopped for long, once */
KICK_FAKE(fake_deaf);			  /* runs and sees no signal, only the stop word */

/* Turns of the sound guest in a second of processor time: measured, for the engine's limits. */
uint64_t fake_speed(void);

#endif
