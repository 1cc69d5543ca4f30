// SPDX-License-Identifier: GPL-2.0-only
/* What is kept of a round: counts, histograms by powers of two, the last and the bad ones. */
#include "lane.h"

/* 0 for 0, else 1 + the place of the highest bit. */
static unsigned int bucket(uint64_t value)
{
	unsigned int place = value ? 64U - (unsigned int)__builtin_clzll(value) : 0;

	return place < KE_BUCKETS ? place : KE_BUCKETS - 1;
}

/* Called by the vCPU's thread only, so nothing here needs an atomic. */
void ke_record(struct ke_lane *lane, const struct ke_round *round)
{
	struct ke_summary *summary = &lane->summary;

	summary->landings[round->landing]++;
	summary->latency[bucket(round->latency_ns)]++;
	summary->progress[round->landing][bucket(round->after)]++;
	if (round->flags & KE_UNCLAIMED)
		summary->unclaimed++;
	if (round->flags & KE_PREEMPTED)
		summary->preempted++;
	if (round->flags & KE_LOST)
		summary->lost[round->landing]++;
	if (round->flags & KE_LATE)
		summary->late[round->landing]++;
	summary->ring[summary->ring_next++ % KE_RING] = *round;
	if (round->flags & (KE_LOST | KE_LATE | KE_UNCLAIMED)) {
		if (summary->notable_next < KE_NOTABLE)
			summary->notable[summary->notable_next] = *round;
		summary->notable_next++;
	}
}
