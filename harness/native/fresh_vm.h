/* SPDX-License-Identifier: GPL-2.0-only */
/* A child process with a VM of its own, in which a call may hang without harm to the caller. */
#ifndef KE_FRESH_VM_H
#define KE_FRESH_VM_H

#include <stdint.h>

struct ke_fresh_answer {
	int64_t step;  /* its number in ke_fresh_steps */
	int64_t value; /* what the call gave, or -errno */
};

extern const char *const ke_fresh_steps[]; /* what the child does, in order; ends with NULL */

/*
 * A child that makes a VM with a vCPU, calls KVM_RUN `runs` times with the byte set, and then each
 * call that a lock left behind would hold. It writes an answer after each step. Its pid, or -errno.
 */
int ke_fresh_vm(uint64_t runs, int answer_fd);

#endif
