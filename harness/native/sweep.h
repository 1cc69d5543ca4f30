/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A kick at every instruction: rounds in which a timer's interrupt is aimed at one instruction of
 * the way from the check of the flag to the guest. For a host whose clock counts instructions.
 */
#ifndef KE_SWEEP_H
#define KE_SWEEP_H

#include <linux/kvm.h>
#include <stdint.h>

#define SW_HANDLER_WRITES 0 /* the signal's handler sets the byte */
#define SW_SIGNAL_MASK 1    /* blocked outside of KVM_RUN, open inside */
#define SW_CONTROL 2	    /* neither: loses what lands between check and system call */

#define SW_PHASES 16 /* the timer's step, in instructions; an earlier beginning fills it */

/* Where the kick's handler found the thread; the kernel's own trace tells more. */
#define SW_BEFORE_CHECK 0
#define SW_IN_WINDOW 1
#define SW_IN_KVM_RUN 2
#define SW_AFTER 3

struct sw_plan {
	int vcpu_fd;
	struct kvm_run *run;
	volatile uint32_t *heartbeat;
	int protocol;
	int signo;
	/*
	 * The timer aims at `first` ns (instructions) behind the round's beginning, then at one
	 * instruction later each round.
	 */
	int64_t first;
	uint32_t rounds;
	/* The timer is armed so long before the round begins, and a lost kick ended so long after.
	 */
	uint64_t lead_ns;
	uint64_t rescue_ns;
	/* Runs without a kick before each round, so that an operation is pending when it begins. */
	uint32_t runs_before;
};

/* One kick. Times are the processor's time-stamp counter, which the trace has too. */
struct sw_round {
	uint64_t began;
	uint64_t returned;
	int32_t value; /* KVM_RUN's, or -errno */
	uint32_t exit_reason;
	uint32_t progress; /* the guest's turns in the round */
	uint8_t landing;
	uint8_t rescued;
	uint8_t entered; /* KVM_RUN was called: the check did not see the kick */
	uint8_t unused;
};

/* All rounds, on the calling thread: 0 or -errno. */
int sw_run(const struct sw_plan *plan, struct sw_round *rounds);

/*
 * A slide of NOPs instead of KVM_RUN, interrupted at each of `count` aims: the number of the NOP
 * that the kick's handler found, or -1 where it came before or behind them. 0 or -errno.
 */
int sw_calibrate(int signo, uint64_t lead_ns, int64_t first, int32_t *nops, uint32_t count);

/* The counter of times: 0 where no sweep can be made. */
uint64_t sw_ticks(void);

#endif
