/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The C of the harness, seen by the cffi extension: engine.cdef repeats these declarations for
 * Python. What a function means to its callers stands in the docstrings of the Python modules.
 */
#ifndef KE_NATIVE_H
#define KE_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "arch.h"

struct ke_ioctl {
	const char *name;
	unsigned long number;
	size_t size; /* of the argument's struct; 0 where the argument is a value or nothing */
};

extern const struct ke_ioctl ke_ioctls[]; /* ends with a NULL name */
unsigned int ke_ioctl_size(unsigned long number);
long ke_ioctl(int fd, unsigned long number, void *argument);
size_t ke_get_registers(
	int fd, const uint64_t *numbers, size_t count, uint8_t *values, size_t room, int *error);

enum {
	KE_NOT_RESCUED = 0,
	KE_RESCUED_BY_STOP_WORD = 1,
	KE_RESCUED_BY_SIGNAL = 2,
};

struct ke_run_request {
	int vcpu_fd;
	unsigned long argument;	     /* KVM_RUN's third argument: 0, but for tests of it */
	uint32_t *heartbeat;	     /* guest progress, in the guest's memory; may be NULL */
	uint32_t *stop;		     /* the program's stop word; may be NULL */
	uint32_t progress_forbidden; /* guest progress is already the failure: rescue at once */
	uint64_t patience_ns;	     /* then the stop word is written ... */
	uint64_t signal_after_ns;    /* ... this much later a signal repeats ... */
	uint64_t end_after_ns;	     /* ... and this much later the process ends */
	uint64_t times;		     /* as often, while each gives EINTR by itself; 0 is once */
	struct kvm_run *run;
	uint32_t goes_on; /* EINTR for nothing is not its end */
	uint32_t masked;  /* KVM_SET_SIGNAL_MASK is in force ... */
	uint64_t mask;	  /* ... and blocks these signals in KVM_RUN; bit 0 is signal 1 */
	struct ke_calling_thread *thread; /* to be looked at around each KVM_RUN; may be NULL */
};

struct ke_run_result {
	int value;
	int error;
	uint32_t interrupted; /* EINTR, and KVM_EXIT_INTR was written by this very run */
	uint32_t rescue;
	uint32_t rescue_signals;
	uint32_t heartbeat_before;
	uint32_t heartbeat_at_rescue;
	uint32_t heartbeat_after;
	uint64_t rescued_at_ns;
	uint64_t elapsed_ns;
	uint64_t runs;	   /* KVM_RUNs issued; the fields above are of the last, or of all */
	uint64_t spurious; /* returns for nothing, each followed by another KVM_RUN */
};

int ke_run(const struct ke_run_request *request, struct ke_run_result *result);

uint64_t ke_clock_ns(void);

int ke_run_in_child(int vcpu_fd, int answer_fd);

int ke_handler_install(int signo, int flags);
int ke_disposition_set(int signo, int ignored);
int ke_handler_remove(int signo);
uint64_t ke_handler_count(int signo);
int ke_handler_taker(int signo);
void ke_handler_target(int signo, uint8_t *byte);
int ke_tgkill(int tid, int signo);
int ke_timer_start(int signo, int tid, uint64_t first_ns, uint64_t interval_ns);
int ke_timer_stop(int handle);

long ke_userfault_open(void);
int ke_userfault_register(int fd, void *start, size_t length);
int ke_userfault_wait(int fd, int timeout_ms, uint64_t *address);
int ke_userfault_zero(int fd, void *page, size_t length);

/* What a batch of the benchmark calls again and again, and what is then expected. */
enum {
	KE_BENCH_IMMEDIATE = 0, /* KVM_RUN with the byte set: EINTR */
	KE_BENCH_EXIT = 1,	/* KVM_RUN that ends with an exit: 0 and "exit_reason" */
	KE_BENCH_EINVAL = 2,	/* KVM_RUN with an argument: EINVAL */
	KE_BENCH_GETPPID = 3,	/* getppid(2): the floor of a system call */
};

struct ke_bench_request {
	int kind;
	uint64_t batch_ns;	  /* how long the threads go on */
	uint64_t patience_ns;	  /* for them to start, and to end after that: then the rescue */
	uint64_t signal_after_ns; /* from the stop word to the first signal */
	uint64_t end_after_ns;	  /* from the stop word to the end of the process */
};

struct ke_bench_thread {
	int vcpu_fd;
	struct kvm_run *run;  /* NULL for a kind that needs no vCPU */
	uint32_t *stop;	      /* the guest's stop word; may be NULL */
	int cpu;	      /* the processor to stay on, or -1 */
	uint32_t exit_reason; /* of KE_BENCH_EXIT */
	/* What came of it: zero beforehand. */
	int pinned;
	uint64_t calls;
	uint64_t elapsed_ns;
	uint64_t cpu_ns; /* the thread's own time on a processor, of "elapsed_ns" */
	int unexpected;	 /* the first result that was not the expected one ended the thread: */
	int value;
	int error;
	uint32_t found_reason;
};

int ke_bench(
	const struct ke_bench_request *request, struct ke_bench_thread *threads,
	unsigned int count);

#endif
