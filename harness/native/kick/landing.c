// SPDX-License-Identifier: GPL-2.0-only
/* Where a kick landed, and what the guest did after it. */
#include "lane.h"

/* Whether somebody looked at the guest around the one kick under way. */
int ke_has_sampled_kicker(const struct ke_lane *lane)
{
	return ke_one_at_a_time(lane) && lane->plan.delivery != KE_BY_TIMER &&
	       lane->plan.delivery != KE_BY_ITSELF;
}

/* Whether the kick was sent before the guest made progress in this round, as its kicker saw it. */
static int before_progress(struct ke_lane *lane)
{
	return atomic_load(&lane->asked_heartbeat) == lane->round_heartbeat;
}

/* Where a kick landed that no handler told about: by the clock of its kicker. */
uint32_t ke_landing_by_clock(struct ke_lane *lane, uint32_t heartbeat)
{
	int by_timer = lane->plan.delivery == KE_BY_TIMER;

	if (lane->plan.delivery == KE_BY_ITSELF)
		return KE_IN_WINDOW;
	/* A timer's interrupt may be later than its date. */
	/* A burst or a storm is not waited for: the times may still be those of an older kick. */
	if (by_timer ? atomic_load(&lane->sent_ns) <= lane->window_begin_ns
		     : atomic_load(&lane->sampled) >= atomic_load(&lane->requested) &&
			       atomic_load(&lane->sent_done_ns) <= lane->call_ns)
		return KE_IN_WINDOW;
	if (ke_has_sampled_kicker(lane))
		return before_progress(lane) ? KE_IN_ENTRY : KE_IN_GUEST;
	return heartbeat == lane->round_heartbeat ? KE_IN_ENTRY : KE_IN_GUEST;
}

/*
 * Where a kick landed, from what its handler saw. The handler runs when KVM_RUN is over, so it
 * cannot tell a kick that met the running guest from one that was sent before the guest's first
 * progress, where a check of pending work was to see it: the kicker can, for it looked at the guest
 * before it sent. Only once the kick is settled.
 */
uint32_t ke_landing_of(struct ke_lane *lane, uint32_t seen, uint32_t heartbeat)
{
	if (seen == KE_BEFORE_CHECK)
		return seen;
	if (ke_masked(lane))
		return ke_landing_by_clock(lane, heartbeat);
	if (seen == KE_IN_GUEST && ke_has_sampled_kicker(lane) && before_progress(lane))
		return KE_IN_ENTRY;
	return seen;
}

/* Turns of the guest after the kick, as far as they are known. */
uint32_t ke_progress_after(struct ke_lane *lane, uint32_t heartbeat)
{
	int64_t turns;

	if (heartbeat == lane->round_heartbeat)
		/* Nothing ran; the kicker's own look at the guest may still be to come. */
		return 0;
	if (!ke_one_at_a_time(lane) || lane->plan.delivery == KE_BY_ITSELF)
		/* By itself: the kick came before the entry, so every turn came after it. */
		return ke_one_at_a_time(lane) ? heartbeat - lane->round_heartbeat : 0;
	if (lane->plan.delivery == KE_BY_TIMER) {
		/* Nobody saw the guest when the timer fired: what it may have done until then
		 * is taken off, at its full speed from the very entry on. */
		uint64_t until = atomic_load(&lane->sent_ns);
		uint64_t spent = until > lane->window_begin_ns ? until - lane->window_begin_ns : 0;

		turns = (int64_t)(heartbeat - lane->round_heartbeat) -
			(int64_t)((double)spent * (double)lane->plan.turns_per_second / 1e9);
	} else {
		turns = (int32_t)(heartbeat - atomic_load(&lane->sent_heartbeat));
	}
	return turns > 0 ? (uint32_t)turns : 0;
}
