/* SPDX-License-Identifier: GPL-2.0-only */
/* What the defects of broken_kvm*.c share. */
#ifndef BROKEN_KVM_H
#define BROKEN_KVM_H

#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/* What is known of a vCPU, by its descriptor. */
struct vcpu {
	int open;
	int vm;	       /* the descriptor of its VM */
	pid_t process; /* that created it */
	pid_t thread;  /* of the KVM_RUN before this one */
	int ran;       /* with the byte clear, at least once */
	int preset;    /* the run before this one had the byte set */
	int pending;   /* KVM_RUN gave an exit that no later run has completed */
	int stepping;  /* KVM_SET_GUEST_DEBUG turned single-stepping on */
	int masked;    /* KVM_SET_SIGNAL_MASK gave it ... */
	uint64_t mask; /* ... this mask */
	int spoilt;    /* for one defect: it lasts */
};

/* One KVM_RUN. */
struct call {
	int fd;
	struct vcpu *vcpu;
	struct kvm_run *run;
	void *argument;
	uint8_t byte;	 /* as it was when KVM_RUN was called */
	int preset;	 /* the byte asks for an immediate exit, and no mistake is in the way */
	int turned_back; /* it ends for nothing, before it gets to the defect */
};

/* A defect: its KVM_RUN, and its way with other ioctls; NULL for the kernel's own. */
struct defect {
	const char *name;
	int (*run)(struct call *call);
	int (*request)(int fd, unsigned long request, void *argument);
};

/* Masks of the suites never block it, and nothing else uses it. */
#define OUR_SIGNAL (SIGRTMAX - 4)

#define VCPUS 1024
extern struct vcpu vcpus[VCPUS];
extern int newest_vcpu;
extern const struct defect byte_defects[], state_defects[], signal_defects[];
extern const struct defect aarch64_defects[], riscv64_defects[];

int fail(int error);
int kernel(int fd, unsigned long request, void *argument);
int plain(struct call *call);
int run_as(struct call *call, uint8_t value);
int is_immediate_exit(const struct call *call, int value);
int step(struct call *call);
int ignore_byte(struct call *call);
uint64_t block(uint64_t mask);
struct kvm_run *map_run(int fd);
void unmap_run(struct kvm_run *run);

#endif
