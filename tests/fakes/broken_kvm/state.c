// SPDX-License-Identifier: GPL-2.0-only
/* Defects of completion, of the vCPU's state and of the order of checks. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broken_kvm.h"

/* ---- completion */

static int checked_before_completion(struct call *call)
{
	return call->preset ? fail(EINTR) : plain(call);
}

static int runs_on_after_completion(struct call *call)
{
	int value = plain(call);

	if (!is_immediate_exit(call, value) || !call->vcpu->pending)
		return value;
	step(call);
	return fail(EINTR);
}

static int loses_fragments(struct call *call)
{
	int value = plain(call);

	return call->preset && !value ? fail(EINTR) : value;
}

#if defined(__x86_64__)

/* What userspace answered to a read; 0 when there is none. */
static size_t answer(struct call *call, uint64_t *value)
{
	const struct kvm_run *run = call->run;
	const long page = sysconf(_SC_PAGESIZE);
	uint8_t *data;

	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write) {
		memcpy(value, run->mmio.data, run->mmio.len);
		return run->mmio.len;
	}
	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_IN)
		return 0;
	data =
		mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, call->fd,
		     (off_t)(run->io.data_offset / (uint64_t)page * (uint64_t)page));
	if (data == MAP_FAILED)
		return 0;
	memcpy(value, data + run->io.data_offset % (uint64_t)page, run->io.size);
	munmap(data, (size_t)page);
	return run->io.size;
}

static int completes_twice(struct call *call)
{
	struct kvm_regs regs;
	uint64_t value = 0;
	size_t size = 0;

	if (call->vcpu->preset && !call->vcpu->pending)
		size = answer(call, &value);
	if (size && !kernel(call->fd, KVM_GET_REGS, &regs)) {
		memcpy(&regs.rax, &value, size);
		kernel(call->fd, KVM_SET_REGS, &regs);
	}
	return plain(call);
}

static int skips_after_completion(struct call *call)
{
	struct kvm_regs regs;

	if (call->preset && call->vcpu->preset && call->run->exit_reason == KVM_EXIT_IO &&
	    !kernel(call->fd, KVM_GET_REGS, &regs)) {
		regs.rip++;
		kernel(call->fd, KVM_SET_REGS, &regs);
	}
	return plain(call);
}

static int refused_msr_succeeds(struct call *call)
{
	uint32_t reason = call->run->exit_reason;

	if (call->preset && call->vcpu->pending &&
	    (reason == KVM_EXIT_X86_RDMSR || reason == KVM_EXIT_X86_WRMSR))
		call->run->msr.error = 0;
	return plain(call);
}

/* The step over what the run finished is not told. */
static int loses_step_of_completion(struct call *call)
{
	int value = plain(call);

	return call->preset && !value && call->run->exit_reason == KVM_EXIT_DEBUG ? fail(EINTR)
										  : value;
}

static int registers_undo_completion(struct call *call)
{
	struct kvm_regs regs = call->run->s.regs.regs;
	int taken = call->preset && call->vcpu->pending &&
		    call->run->kvm_dirty_regs & KVM_SYNC_X86_REGS;
	int value = plain(call);

	if (taken)
		kernel(call->fd, KVM_SET_REGS, &regs);
	return value;
}

/* ---- state that the guest's program does not use */

static int loses_breakpoints(struct call *call)
{
	int value = plain(call);
	struct kvm_debugregs registers;

	if (is_immediate_exit(call, value) && !kernel(call->fd, KVM_GET_DEBUGREGS, &registers)) {
		memset(registers.db, 0, sizeof(registers.db));
		kernel(call->fd, KVM_SET_DEBUGREGS, &registers);
	}
	return value;
}

static int unmasks_nmis(struct call *call)
{
	int value = plain(call);
	struct kvm_vcpu_events events;

	if (is_immediate_exit(call, value) && !kernel(call->fd, KVM_GET_VCPU_EVENTS, &events)) {
		events.nmi.masked = 0;
		events.flags = 0;
		kernel(call->fd, KVM_SET_VCPU_EVENTS, &events);
	}
	return value;
}

static int moves_tsc_adjust(struct call *call)
{
	int value = plain(call);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = {.head.nmsrs = 1, .entry.index = 0x3b};

	if (is_immediate_exit(call, value) && kernel(call->fd, KVM_GET_MSRS, &one) == 1) {
		one.entry.data += 1000;
		kernel(call->fd, KVM_SET_MSRS, &one);
		errno = EINTR;
	}
	return value;
}

static int ends_reports(struct call *call)
{
	int value = plain(call);
	struct kvm_tpr_access_ctl none = {0};

	if (is_immediate_exit(call, value)) {
		kernel(call->fd, KVM_TPR_ACCESS_REPORTING, &none);
		errno = EINTR;
	}
	return value;
}

static int nmi_by_message_lost(int fd, unsigned long request, void *argument)
{
	struct kvm_msi *message = argument;

	if (request == KVM_SIGNAL_MSI && (message->data >> 8 & 7) == 4) /* delivery mode NMI */
		return 1;
	return kernel(fd, request, argument);
}

static int loses_error_code(struct call *call)
{
	int value = plain(call);
	struct kvm_vcpu_events events;

	if (is_immediate_exit(call, value) && !kernel(call->fd, KVM_GET_VCPU_EVENTS, &events) &&
	    events.exception.has_error_code) {
		events.exception.error_code = 0;
		kernel(call->fd, KVM_SET_VCPU_EVENTS, &events);
	}
	return value;
}

/* ---- modes and states */

static int not_in_real_mode(struct call *call)
{
	struct kvm_sregs sregs = {.cr0 = 1};

	kernel(call->fd, KVM_GET_SREGS, &sregs);
	return run_as(call, sregs.cr0 & 1 ? call->byte : 0);
}

static uint32_t mp_state(struct call *call)
{
	struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};

	kernel(call->fd, KVM_GET_MP_STATE, &state);
	return state.mp_state;
}

static int not_when_uninitialized(struct call *call)
{
	int waits = call->preset && mp_state(call) == KVM_MP_STATE_UNINITIALIZED;

	return run_as(call, waits ? 0 : call->byte);
}

/* As if a signal had ended the wait: what a KVM may do now and then, each time. */
static int uninitialized_interrupts(struct call *call)
{
	int value = plain(call);

	if (value == -1 && errno == EAGAIN) {
		call->run->exit_reason = KVM_EXIT_INTR;
		errno = EINTR;
	}
	return value;
}

static int wakes_halted(struct call *call)
{
	struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};

	if (call->preset && mp_state(call) == KVM_MP_STATE_HALTED)
		kernel(call->fd, KVM_SET_MP_STATE, &runnable);
	return plain(call);
}

static int drops_events(struct call *call)
{
	struct kvm_vcpu_events events;

	if (call->preset && !kernel(call->fd, KVM_GET_VCPU_EVENTS, &events)) {
		events.exception.injected = 0;
		events.exception.pending = 0;
		events.interrupt.injected = 0;
		events.nmi.pending = 0;
		events.nmi.injected = 0;
		kernel(call->fd, KVM_SET_VCPU_EVENTS, &events);
	}
	return plain(call);
}

static int drops_timer(struct call *call)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} deadline = {.head = {.nmsrs = 1}, .entry = {.index = 0x6e0}};

	if (call->preset)
		kernel(call->fd, KVM_SET_MSRS, &deadline);
	return plain(call);
}

static int cpuid_fixed(int fd, unsigned long request, void *argument)
{
	if (request == KVM_SET_CPUID2 && vcpus[fd].spoilt)
		return fail(EINVAL);
	return kernel(fd, request, argument);
}

static int spoils(struct call *call)
{
	if (call->preset)
		call->vcpu->spoilt = 1;
	return plain(call);
}

/* ---- registers in kvm_run */

static int dirty_registers_dropped(struct call *call)
{
	if (call->preset)
		call->run->kvm_dirty_regs = 0;
	return plain(call);
}

static int dirty_registers_stay_dirty(struct call *call)
{
	uint64_t dirty = call->run->kvm_dirty_regs;
	int value = plain(call);

	if (is_immediate_exit(call, value))
		call->run->kvm_dirty_regs = dirty;
	return value;
}

static int registers_not_stored(struct call *call)
{
	uint64_t valid = call->run->kvm_valid_regs;
	int value;

	if (!call->preset)
		return plain(call);
	call->run->kvm_valid_regs = 0;
	value = plain(call);
	call->run->kvm_valid_regs = valid;
	return value;
}

static int registers_unchecked(struct call *call)
{
	uint64_t named = call->run->kvm_valid_regs | call->run->kvm_dirty_regs;

	if (call->preset && named & ~(uint64_t)KVM_SYNC_X86_VALID_FIELDS)
		return fail(EINTR);
	return plain(call);
}

#endif

static int single_steps(struct call *call)
{
	if (call->preset && call->vcpu->stepping)
		step(call);
	return plain(call);
}

/* Resets what was collected, as only KVM_RESET_DIRTY_RINGS may. */
static int resets_dirty_ring(struct call *call)
{
	if (call->preset)
		kernel(call->vcpu->vm, KVM_RESET_DIRTY_RINGS, NULL);
	return plain(call);
}

/* ---- the calling thread */

static void set_policy(int policy)
{
	const struct sched_param no_priority = {0};

	sched_setscheduler(0, policy, &no_priority);
}

static int policy_changed(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		set_policy(SCHED_BATCH);
		errno = EINTR;
	}
	return value;
}

/* For the next test. */
static int policy_reset(int fd, unsigned long request, void *argument)
{
	if (request == KVM_CREATE_VM)
		set_policy(SCHED_OTHER);
	return kernel(fd, request, argument);
}

/* ---- the order of checks */

static int argument_unchecked(struct call *call)
{
	return call->byte && call->argument ? fail(EINTR) : plain(call);
}

static int process_unchecked(struct call *call)
{
	return call->byte && call->vcpu->process != getpid() ? fail(EINTR) : plain(call);
}

const struct defect state_defects[] = {
	{"checked_before_completion", checked_before_completion, NULL},
	{"runs_on_after_completion", runs_on_after_completion, NULL},
	{"loses_fragments", loses_fragments, NULL},
#if defined(__x86_64__)
	{"completes_twice", completes_twice, NULL},
	{"skips_after_completion", skips_after_completion, NULL},
	{"refused_msr_succeeds", refused_msr_succeeds, NULL},
	{"loses_breakpoints", loses_breakpoints, NULL},
	{"unmasks_nmis", unmasks_nmis, NULL},
	{"moves_tsc_adjust", moves_tsc_adjust, NULL},
	{"loses_step_of_completion", loses_step_of_completion, NULL},
	{"registers_undo_completion", registers_undo_completion, NULL},
	{"ends_reports", ends_reports, NULL},
	{"nmi_by_message_lost", plain, nmi_by_message_lost},
	{"loses_error_code", loses_error_code, NULL},
	{"not_in_real_mode", not_in_real_mode, NULL},
	{"not_when_uninitialized", not_when_uninitialized, NULL},
	{"uninitialized_interrupts", uninitialized_interrupts, NULL},
	{"wakes_halted", wakes_halted, NULL},
	{"drops_events", drops_events, NULL},
	{"drops_timer", drops_timer, NULL},
	{"cpuid_fixed", spoils, cpuid_fixed},
	{"dirty_registers_dropped", dirty_registers_dropped, NULL},
	{"dirty_registers_stay_dirty", dirty_registers_stay_dirty, NULL},
	{"registers_not_stored", registers_not_stored, NULL},
	{"registers_unchecked", registers_unchecked, NULL},
#endif
	{"single_steps", single_steps, NULL},
	{"resets_dirty_ring", resets_dirty_ring, NULL},
	{"policy_changed", policy_changed, policy_reset},
	{"argument_unchecked", argument_unchecked, NULL},
	{"process_unchecked", process_unchecked, NULL},
	{NULL, NULL, NULL},
};
