/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kick engine: vCPU threads that enter KVM_RUN round after round, kickers that take them out,
 * and a supervisor that ends what does not come back. See docs/race-verdicts.md.
 *
 * A lane is one vCPU with its kickers. A round is: clear the byte, full fence, check the request,
 * (the window), KVM_RUN, classify, acknowledge. The kicker's half is: publish the request, do what
 * the protocol says, signal.
 */
#ifndef KE_KICK_H
#define KE_KICK_H

#include <stdint.h>

struct kvm_run;

enum ke_protocol {
	KE_HANDLER_WRITES = 0, /* the signal's handler sets the byte (api.rst) */
	KE_KICKER_WRITES = 1,  /* the kicker sets the byte; the handler does nothing */
	KE_SIGNAL_MASK = 2,    /* KVM_SET_SIGNAL_MASK: blocked outside, open inside */
	KE_CONTROL = 3,	       /* no byte, no mask: loses what lands in the window */
	KE_CLEARED_LATE = 4,   /* kicker writes, but the byte is cleared after the check: wrong */
};

enum ke_delivery {
	KE_BY_THREAD = 0,  /* tgkill from a kicker thread */
	KE_BY_PROCESS = 1, /* tgkill from another process */
	KE_BY_TIMER = 2,   /* a POSIX timer aimed at the vCPU's thread; needs no second CPU */
	KE_BY_QUEUE = 3,   /* rt_tgsigqueueinfo: a queued realtime signal */
	KE_BY_ITSELF = 4,  /* the vCPU's own thread, by a single step of the window */
};

enum ke_landing {
	KE_BEFORE_CHECK = 0, /* the check saw the request: KVM_RUN was not called */
	KE_IN_WINDOW = 1,    /* between the check and the system call */
	KE_IN_ENTRY = 2,     /* in the kernel, before the guest made progress */
	KE_IN_GUEST = 3,     /* the guest had made progress */
	KE_AFTER_EXIT = 4,   /* KVM_RUN had another reason to return */
	KE_LANDINGS = 5,
};

enum ke_flag {
	KE_LOST = 1,	   /* the supervisor had to end the run */
	KE_LATE = 2,	   /* guest progress after the kick beyond the lane's limit */
	KE_PREEMPTED = 4,  /* the vCPU's thread was scheduled out against its will */
	KE_BY_SIGNAL = 8,  /* rescued by signals, not by the stop word */
	KE_UNCLAIMED = 16, /* the byte was set, yet KVM_RUN returned 0 */
};

#define KE_BUCKETS 64 /* powers of two */
#define KE_RING 1024  /* the last rounds */
#define KE_NOTABLE 64 /* the first rounds that went wrong */

/* What is kept of a round. Times are ns since the lane began, progress is in turns. */
struct ke_round {
	uint64_t number;
	uint64_t sent_ns;
	uint64_t latency_ns;
	uint64_t delay_ns;
	uint32_t before; /* guest progress from the round's begin to the kick */
	uint32_t after;	 /* guest progress from the kick to the return */
	int32_t value;
	int32_t error;
	uint32_t exit_reason;
	uint16_t landing;
	uint16_t flags;
};

/* Everything that is known of a lane; memory does not grow with the number of kicks. */
struct ke_summary {
	uint64_t kicks;
	uint64_t rounds;
	uint64_t landings[KE_LANDINGS];
	uint64_t lost[KE_LANDINGS];
	uint64_t late[KE_LANDINGS];
	uint64_t preempted;
	uint64_t spurious;   /* EINTR with no kick under way */
	uint64_t exits;	     /* KVM_RUN returned 0 */
	uint64_t unexpected; /* neither EINTR nor an exit that the guest makes */
	uint64_t unclaimed;  /* the byte was set before the call, and KVM_RUN returned 0 */
	uint64_t swallowed;  /* answered, but its signal was gone: neither handled nor pending */
	int32_t last_error;
	uint32_t rescued;
	uint64_t handled;			    /* runs of the handler */
	uint64_t latency[KE_BUCKETS];		    /* ns */
	uint64_t progress[KE_LANDINGS][KE_BUCKETS]; /* turns after the kick; bucket 0: none */
	uint64_t elapsed_ns;
	uint64_t ring_next;
	uint64_t notable_next;
	struct ke_round ring[KE_RING];
	struct ke_round notable[KE_NOTABLE];
};

/* KVM_RUN, or a stand-in for it: 0, or -errno. `entered` is set once the signal only pends. */
typedef int (*ke_run_function)(
	int fd, struct kvm_run *run, uint32_t *heartbeat, uint32_t *stop,
	volatile uint32_t *entered, int signo, int masked);

struct ke_lane_plan {
	int vcpu_fd;
	struct kvm_run *run;
	uint32_t *heartbeat; /* never NULL: programs that cannot count have none to show */
	uint32_t *stop;
	void *function; /* a ke_run_function */ /* NULL: the real KVM_RUN */
	int protocol;
	int delivery;
	int signo;
	uint64_t kicks;		/* 0: until cancelled */
	uint64_t enough_losses; /* with so many the run ends early; 0: it does not */
	uint64_t seed;
	uint64_t delay_first_ns; /* after the round's begin */
	uint64_t delay_last_ns;
	uint64_t delay_step_ns; /* 0: random between first and last */
	uint64_t window_ns;	/* every second round waits this long in the window */
	uint32_t burst;		/* signals a kick; 1 is the rule */
	uint32_t kickers;	/* 1; more: a storm, each with a kick of its own outstanding */
	int vcpu_cpu;		/* -1: wherever the scheduler likes */
	int kicker_cpu;
	int realtime;	  /* the kickers' SCHED_FIFO priority: they sleep and never spin; 0: none */
	int migrate_from; /* the vCPU's thread changes its CPU every 8 kicks; -1: it does not */
	int migrate_to;
	int sleeps;		   /* the guest halts: no progress is to be expected of it */
	int exits;		   /* the guest's program makes KVM_RUN return 0 */
	uint64_t lost_ns;	   /* not answered for so long, and ... */
	uint32_t lost_turns;	   /* ... so many turns of the guest: lost */
	uint32_t late_turns;	   /* so many turns after the kick: late; 0: not judged */
	uint64_t turns_per_second; /* the guest's speed: for timers, which nobody watches fire */
};

struct ke_lane;

struct ke_lane *ke_lane_new(const struct ke_lane_plan *plan);
const struct ke_summary *ke_lane_summary(const struct ke_lane *lane);
void ke_lane_free(struct ke_lane *lane);

/* The supervisor's own signal: no lane may take it. */
int ke_rescue_signal(void);
/* 1 when a handler of this process is installed for a signal. */
/* Whether this architecture has a delivery; a run of one that it has not gives -ENOSYS. */
int ke_can_deliver(int delivery);
int ke_signal_taken(int signo);

/*
 * Runs all lanes until each has made its kicks, or until *cancel. 0 or -errno: EBUSY when somebody
 * else handles a lane's signal, EINVAL for a signal or a processor that cannot be had. After an
 * error nothing is left: no handler, thread, timer or process.
 */
int ke_kick_run(
	struct ke_lane **lanes, uint32_t count, uint64_t time_limit_ns,
	const volatile uint32_t *cancel);

#endif
