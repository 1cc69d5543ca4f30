// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kick engine and its stand-ins as a program of their own, for a build with a sanitizer: see
 * check_sanitizers in .ci/checks. No /dev/kvm, no Python.
 *
 *	kick_main KICKS [no_steps]
 *
 * Races the sound stand-in in every protocol, delivery and shape, then the broken ones. no_steps
 * leaves the single steps out: ThreadSanitizer's own code must not be interrupted by a trap.
 * Exit code 0: the sound one held, and each broken one was found. A sanitizer has its own codes.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../../harness/native/kick/kick.h"
#include "fakes.h"

#define SIGNAL 42
#define LANES 2
#define HUNTS 20

struct shape {
	const char *name;
	uint32_t burst, kickers, lanes;
	int migrates, together, random;
};

static const struct shape shapes[] = {
	{"plain", 1, 1, 1, 0, 0, 0},	 {"burst", 3, 1, 1, 0, 0, 0},
	{"storm", 1, 4, 1, 0, 0, 0},	 {"migrate", 1, 1, 1, 1, 0, 0},
	{"together", 1, 1, 1, 0, 1, 0},	 {"random", 1, 1, 1, 0, 0, 1},
	{"two lanes", 1, 1, 2, 0, 0, 0},
};

static uint64_t kicks, speed;
static int failed;

static struct ke_lane_plan plan_of(ke_run_function fake, int protocol, int delivery)
{
	uint8_t *page =
		mmap(NULL, 0x3000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ke_lane_plan plan = {
		.vcpu_fd = -1,
		.run = (struct kvm_run *)page,
		.heartbeat = (uint32_t *)(page + 0x2000),
		.stop = (uint32_t *)(page + 0x2004),
		.protocol = protocol,
		.delivery = delivery,
		.signo = SIGNAL,
		.kicks = kicks,
		.seed = 1,
		.delay_last_ns = 8000,
		.delay_step_ns = 10,
		.window_ns = 6000,
		.burst = 1,
		.kickers = 1,
		.vcpu_cpu = -1,
		.kicker_cpu = -1,
		.migrate_from = -1,
		.migrate_to = -1,
		.lost_ns = 50000000,
		.lost_turns = (uint32_t)(speed / 20),
		.late_turns = (uint32_t)(speed / 8000),
		.turns_per_second = speed,
	};

	if (page == MAP_FAILED)
		exit(1);
	memcpy(&plan.function, &fake, sizeof(fake));
	return plan;
}

static uint64_t sum(const uint64_t *counts)
{
	uint64_t total = 0;

	for (int index = 0; index < KE_LANDINGS; index++)
		total += counts[index];
	return total;
}

static void expect(int good, const char *what, const struct ke_summary *summary)
{
	if (!good) {
		failed = 1;
		printf("FAILED ");
	}
	printf("%s: %lu kicks, %lu lost, %lu late, %lu unexpected, %lu swallowed\n", what,
	       (unsigned long)summary->kicks, (unsigned long)sum(summary->lost),
	       (unsigned long)sum(summary->late), (unsigned long)summary->unexpected,
	       (unsigned long)summary->swallowed);
}

static void race(struct ke_lane_plan plan, uint32_t count, struct ke_lane **lanes)
{
	uint32_t index;
	int error;

	for (index = 0; index < count; index++) {
		struct ke_lane_plan own =
			plan_of((ke_run_function)plan.function, plan.protocol, plan.delivery);

		plan.run = own.run;
		plan.heartbeat = own.heartbeat;
		plan.stop = own.stop;
		lanes[index] = ke_lane_new(&plan);
		if (!lanes[index])
			exit(1);
	}
	error = ke_kick_run(lanes, count, 60000000000ULL, NULL);
	if (error) {
		fprintf(stderr, "kick_main: the engine: %s\n", strerror(-error));
		exit(1);
	}
}

static void sound(int protocol, int delivery, const struct shape *shape)
{
	struct ke_lane_plan plan = plan_of(fake_sound, protocol, delivery);
	struct ke_lane *lanes[LANES];
	char what[80];

	plan.burst = shape->burst;
	plan.kickers = shape->kickers;
	plan.delay_step_ns = shape->random ? 0 : 10;
	if (shape->together)
		plan.vcpu_cpu = plan.kicker_cpu = 0;
	if (shape->migrates) {
		plan.migrate_from = 0;
		plan.migrate_to = 1;
	}
	snprintf(
		what, sizeof(what), "sound, protocol %d, delivery %d, %s", protocol, delivery,
		shape->name);
	race(plan, shape->lanes, lanes);
	for (uint32_t index = 0; index < shape->lanes; index++) {
		const struct ke_summary *found = ke_lane_summary(lanes[index]);

		expect(found->kicks && !sum(found->lost) && !found->unexpected && !found->swallowed,
		       what, found);
		ke_lane_free(lanes[index]);
	}
}

/* A delivery that the architecture has not is refused: such a race would never end. */
static void refused(int protocol, int delivery)
{
	struct ke_lane_plan plan = plan_of(fake_sound, protocol, delivery);
	struct ke_lane *lane = ke_lane_new(&plan);

	if (!lane || ke_kick_run(&lane, 1, 0, NULL) != -ENOSYS) {
		failed = 1;
		printf("FAILED protocol %d, delivery %d: not refused\n", protocol, delivery);
	}
	ke_lane_free(lane);
}

static int is_found(const struct ke_summary *summary)
{
	return sum(summary->lost) || sum(summary->late) || summary->unexpected ||
	       summary->swallowed;
}

/*
 * Races of so many kicks until one finds the defect: how many kicks land in the window is up to the
 * host's scheduler, and on a host with many more threads than processors it may be none of 40.
 * The window in ns: long against the rest of a round, short against a time slice.
 */
static void
broken(const char *what, ke_run_function fake, int protocol, uint64_t budget, uint64_t window)
{
	struct ke_lane_plan plan = plan_of(fake, protocol, KE_BY_THREAD);
	int found = 0;

	plan.kicks = budget;
	plan.window_ns = window;
	plan.delay_last_ns = window * 9 / 10;
	plan.delay_step_ns = 0;
	for (int hunt = 1; hunt <= HUNTS && !found; hunt++) {
		struct ke_lane *lane;

		race(plan, 1, &lane);
		found = is_found(ke_lane_summary(lane));
		if (found || hunt == HUNTS)
			expect(found, what, ke_lane_summary(lane));
		ke_lane_free(lane);
	}
}

int main(int argc, char **argv)
{
	int steps = argc < 3;

	kicks = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
	speed = fake_speed() * 3 / 2;
	for (int protocol = KE_HANDLER_WRITES; protocol <= KE_SIGNAL_MASK; protocol++)
		for (int delivery = KE_BY_THREAD; delivery <= KE_BY_ITSELF; delivery++)
			for (size_t shape = 0; shape < sizeof(shapes) / sizeof(*shapes); shape++) {
				if (delivery == KE_BY_TIMER && protocol == KE_KICKER_WRITES)
					continue;
				if (delivery == KE_BY_ITSELF && !steps)
					continue;
				if (!ke_can_deliver(delivery)) {
					refused(protocol, delivery);
					continue;
				}
				sound(protocol, delivery, &shapes[shape]);
			}
	broken("ignores the byte", fake_ignores_byte, KE_HANDLER_WRITES, 40, 1000000);
	broken("looks at the byte late", fake_polls_byte_late, KE_HANDLER_WRITES, 3000, 60000);
	broken("misses what is pending", fake_misses_pending, KE_SIGNAL_MASK, 3000, 60000);
	broken("swallows", fake_swallows, KE_HANDLER_WRITES, 60, 60000);
	broken("swallows, yet answers", fake_swallows_answers, KE_SIGNAL_MASK, 200, 60000);
	broken("sleeps", fake_sleeps, KE_HANDLER_WRITES, 5, 60000);
	return failed;
}
