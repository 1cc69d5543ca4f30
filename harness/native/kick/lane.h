/* SPDX-License-Identifier: GPL-2.0-only */
/* A lane from within: what vCPU thread, kickers and supervisor share. */
#ifndef KE_KICK_LANE_H
#define KE_KICK_LANE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "../arch.h"
#include "kick.h"

#define KE_MOST_KICKERS 16

enum ke_phase {
	KE_PHASE_OUTSIDE = 0, /* nothing that a kick could hit */
	KE_PHASE_BEFORE = 1,  /* the round has begun, the check is to come */
	KE_PHASE_WINDOW = 2,  /* checked; KVM_RUN not yet back */
	KE_PHASE_AFTER = 3,   /* KVM_RUN is back */
};

/*
 * Lies in shared memory, for a kicker may be a process of its own. Atomics carry what crosses
 * threads; where a comment names no order, it is sequentially consistent, because the protocol's
 * store-then-load pairs (request and byte against clear and check) need a full fence anyway and a
 * round costs microseconds.
 */
struct ke_lane {
	struct ke_lane_plan plan;
	struct ke_summary summary;

	/* From kickers to the vCPU's thread. */
	_Atomic uint64_t requested;
	_Atomic uint64_t sent_ns;	  /* of the newest request, before its signal */
	_Atomic uint32_t asked_heartbeat; /* before the newest request */
	_Atomic uint64_t sent_done_ns;	  /* behind its signal */
	_Atomic uint32_t sent_heartbeat;  /* behind its signal */
	_Atomic uint64_t delay_ns;
	_Atomic uint64_t sampled; /* kicks whose signal is sent: the two above belong to the last */

	/* From the vCPU's thread to kickers and supervisor. */
	_Atomic uint64_t acknowledged;
	_Atomic uint64_t round; /* counts begun rounds */
	_Atomic uint64_t round_ns;
	_Atomic uint32_t tid;
	_Atomic uint32_t over;		  /* the kicks are made, or given up */
	_Atomic uint32_t ended;		  /* the vCPU's thread has left its loop */
	_Atomic int failed;		  /* a thread could not begin: -errno */
	_Atomic uint64_t rescued_request; /* the request that the supervisor gave up on */
	_Atomic uint32_t rescued_by;	  /* 1 stop word, 2 signals */
	/*
	 * Held by the supervisor from its look whether the kick is answered until stop word or
	 * signal are there, and by the vCPU's thread while it answers and clears the word. What is
	 * meant for one kick's run would else, when the supervisor is scheduled out in between, end
	 * that of the next: a kick that was lost there would look answered.
	 */
	pthread_mutex_t rescue;
	_Atomic uint64_t acknowledged_round;
	_Atomic uint64_t issued; /* kicks begun, by all kickers */
	_Atomic uint32_t kickers_left;

	/* The vCPU's thread and its own signal handler only. */
	volatile uint32_t phase;
	volatile uint32_t entered; /* a stand-in for KVM_RUN has been entered */
	volatile uint32_t landing;
	volatile uint32_t handler_ran; /* in this round */
	volatile uint64_t handled;     /* ever */
	_Atomic uint32_t timer_armed;  /* its signal is still to come */
	uint32_t may_leave;	       /* the stop word was cleared: see leaves_late() */
	uint32_t leave_heartbeat;      /* the guest's count when it was */
	uint64_t handled_before;       /* when the last kick was acknowledged */
	uint32_t round_heartbeat;
	uint64_t window_begin_ns;
	uint64_t call_ns; /* masked: just before KVM_RUN */
	long preemptions;
	uint64_t began_ns;

	pthread_t vcpu_thread;
	pthread_t kicker_threads[KE_MOST_KICKERS];
	pid_t kicker_process;
	uint32_t threads;
	int unsignalled; /* errno of the supervisor's last signal; 0 when it was sent */
	pid_t process;
	struct sigaction action_before;
	struct sigaction trap_before;
	timer_t timer;
	int has_timer;
	uint64_t random;
	uint32_t step;	    /* of the window: where the next kick of a lane by itself falls */
	uint32_t steps_now; /* instructions stepped in this round */
};

static inline uint64_t ke_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* The guest writes the word meanwhile, so the load must be one access. */
static inline uint32_t ke_word(const uint32_t *address)
{
	return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}

static inline void ke_relax(void)
{
	KE_ARCH_RELAX();
	__asm__ volatile("" ::: "memory");
}

/* One byte, one store; the kernel reads it on this thread or behind the signal's locks. */
static inline void ke_set_byte(struct ke_lane *lane, uint8_t value)
{
	__atomic_store_n(&lane->plan.run->immediate_exit, value, __ATOMIC_RELAXED);
}

static inline int ke_masked(const struct ke_lane *lane)
{
	return lane->plan.protocol == KE_SIGNAL_MASK;
}

/* One kick is outstanding at a time, so its signal can be waited for. */
static inline int ke_one_at_a_time(const struct ke_lane *lane)
{
	return lane->plan.kickers <= 1 && lane->plan.burst <= 1;
}

/* landing.c */
int ke_has_sampled_kicker(const struct ke_lane *lane);
uint32_t ke_landing_by_clock(struct ke_lane *lane, uint32_t heartbeat);
uint32_t ke_landing_of(struct ke_lane *lane, uint32_t seen, uint32_t heartbeat);
uint32_t ke_progress_after(struct ke_lane *lane, uint32_t heartbeat);

/* signal.c */
void ke_handler_lane(struct ke_lane *lane);
/* vcpu.c */
void *ke_vcpu_main(void *lane);
int ke_handler_check(const struct ke_lane *lane);
int ke_handler_begin(struct ke_lane *lane);
int ke_handler_end(struct ke_lane *lane);

/* kicker.c */
void *ke_kicker_main(void *lane);
int ke_kicker_process(struct ke_lane *lane);
void ke_kick_once(struct ke_lane *lane, uint64_t delay_ns);
uint64_t ke_next_delay(struct ke_lane *lane, uint64_t *state);
int ke_timer_arm(struct ke_lane *lane, uint64_t delay_ns);
int ke_pin(pid_t tid, int cpu);
void ke_fail(struct ke_lane *lane, int error);
void ke_wait_a_little(unsigned int *turns);

/* record.c */
void ke_record(struct ke_lane *lane, const struct ke_round *round);

#endif
