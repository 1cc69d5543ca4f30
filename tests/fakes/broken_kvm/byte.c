// SPDX-License-Identifier: GPL-2.0-only
/* Defects of the byte itself and of its capability. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "broken_kvm.h"

#define LOOK_EVERY_NS 200000

static int only_one(struct call *call)
{
	return run_as(call, call->byte == 1);
}

static int only_bit_zero(struct call *call)
{
	return run_as(call, call->byte & 1);
}

static int only_positive(struct call *call)
{
	return run_as(call, call->byte < 0x80 ? call->byte : 0);
}

static int wrong_byte(struct call *call)
{
	return run_as(call, call->run->padding1[0]);
}

static int wide_load(struct call *call)
{
	const uint8_t *padding = call->run->padding1;

	return run_as(call, call->byte | padding[0] | padding[1] | padding[2]);
}

static int cleared_at_once(struct call *call)
{
	int value = plain(call);

	if (call->preset)
		call->run->immediate_exit = 0;
	return value;
}

static int cleared_by_normal_run(struct call *call)
{
	int value = plain(call);

	if (!call->byte)
		call->run->immediate_exit = 0;
	return value;
}

static int padding_written(struct call *call)
{
	int value = plain(call);

	call->run->padding1[5] = 1;
	return value;
}

static int window_request_written(struct call *call)
{
	int value = plain(call);

	if (call->preset)
		call->run->request_interrupt_window = 0;
	return value;
}

static int window_request_hides(struct call *call)
{
	return run_as(call, call->run->request_interrupt_window ? 0 : call->byte);
}

static int exit_reason_written(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value))
		call->run->exit_reason = KVM_EXIT_INTR;
	return value;
}

static int exit_reason_reset(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value))
		call->run->exit_reason = KVM_EXIT_UNKNOWN;
	return value;
}

static int returns_zero(struct call *call)
{
	int value = plain(call);

	return is_immediate_exit(call, value) ? 0 : value;
}

static int returns_eagain(struct call *call)
{
	int value = plain(call);

	return is_immediate_exit(call, value) ? fail(EAGAIN) : value;
}

static int one_instruction_late(struct call *call)
{
	if (call->preset)
		step(call);
	return plain(call);
}

/* A thread that ends the KVM_RUN beside it by signals, once it is time. */
struct ender {
	struct call *call;
	pid_t thread;
	int over;
	int at_once;
};

static void *end_run(void *argument)
{
	const struct timespec moment = {0, LOOK_EVERY_NS};
	struct ender *ender = argument;
	const volatile uint8_t *byte = &ender->call->run->immediate_exit;

	while (!__atomic_load_n(&ender->over, __ATOMIC_ACQUIRE)) {
		nanosleep(&moment, NULL);
		if (ender->at_once || *byte)
			syscall(SYS_tgkill, getpid(), ender->thread, OUR_SIGNAL);
	}
	return NULL;
}

static int run_with_ender(struct call *call, int at_once)
{
	struct ender ender = {.call = call, .at_once = at_once};
	uint64_t mask = block(UINT64_MAX);
	pthread_t thread;
	int value, error;

	ender.thread = (pid_t)syscall(SYS_gettid);
	pthread_create(&thread, NULL, end_run, &ender);
	block(mask);
	value = run_as(call, 0);
	error = errno;
	__atomic_store_n(&ender.over, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	return errno = error, value;
}

static int late(struct call *call)
{
	uint32_t reason = call->run->exit_reason;

	if (!call->preset)
		return plain(call);
	if (run_with_ender(call, 1) < 0)
		call->run->exit_reason = reason;
	return fail(EINTR);
}

static int polled_again(struct call *call)
{
	return call->byte ? plain(call) : run_with_ender(call, 0);
}

static uint8_t byte_of(int fd)
{
	struct kvm_run *run = map_run(fd);
	uint8_t byte = run ? run->immediate_exit : 0;

	if (run)
		unmap_run(run);
	return byte;
}

static int byte_of_newest(struct call *call)
{
	return run_as(call, byte_of(newest_vcpu));
}

static int any_byte(struct call *call, int of_its_vm)
{
	uint8_t byte = 0;
	int fd;

	for (fd = 0; fd < VCPUS; fd++)
		if (vcpus[fd].open && (vcpus[fd].vm == call->vcpu->vm) == of_its_vm)
			byte |= byte_of(fd);
	return run_as(call, byte | call->byte);
}

static int byte_of_the_vm(struct call *call)
{
	return any_byte(call, 1);
}

static int byte_of_other_vms(struct call *call)
{
	return any_byte(call, 0);
}

static int before_first_run_only(struct call *call)
{
	return run_as(call, call->vcpu->ran ? 0 : call->byte);
}

static int after_first_run_only(struct call *call)
{
	return run_as(call, call->vcpu->ran ? call->byte : 0);
}

static int edge_triggered(struct call *call)
{
	return run_as(call, call->vcpu->preset ? 0 : call->byte);
}

static int latched(struct call *call)
{
	return run_as(call, call->byte | call->vcpu->preset);
}

/* As if a signal had come: what is left of the byte leaves KVM_RUN by the way of signals. */
static int latched_as_a_signal(struct call *call)
{
	if (call->byte || !call->vcpu->preset)
		return plain(call);
	call->run->exit_reason = KVM_EXIT_INTR;
	return fail(EINTR);
}

static int same_thread_only(struct call *call)
{
	int same = !call->vcpu->thread || call->vcpu->thread == (pid_t)syscall(SYS_gettid);

	return run_as(call, same ? call->byte : 0);
}

/* ---- the capability */

static int asks_for_it(unsigned long request, void *argument)
{
	return request == KVM_CHECK_EXTENSION && (uintptr_t)argument == KVM_CAP_IMMEDIATE_EXIT;
}

static int not_reported(int fd, unsigned long request, void *argument)
{
	return asks_for_it(request, argument) ? 0 : kernel(fd, request, argument);
}

/* Only /dev/kvm itself knows this request. */
static int not_reported_by_vm(int fd, unsigned long request, void *argument)
{
	if (asks_for_it(request, argument) && kernel(fd, KVM_GET_API_VERSION, NULL) < 0)
		return 0;
	return kernel(fd, request, argument);
}

static int not_reported_with_vcpu(int fd, unsigned long request, void *argument)
{
	int vcpu;

	for (vcpu = 0; vcpu < VCPUS; vcpu++)
		if (asks_for_it(request, argument) && vcpus[vcpu].open)
			return 0;
	return kernel(fd, request, argument);
}

static int mapping_too_small(int fd, unsigned long request, void *argument)
{
	if (request == KVM_GET_VCPU_MMAP_SIZE)
		return offsetof(struct kvm_run, kvm_valid_regs);
	return kernel(fd, request, argument);
}

static int absent_and_cleared(struct call *call)
{
	int value = run_as(call, 0);

	call->run->immediate_exit = 0;
	return value;
}

static int absent_and_set(struct call *call)
{
	int value = run_as(call, 0);

	call->run->immediate_exit = 1;
	return value;
}

static int absent_and_no_mask(int fd, unsigned long request, void *argument)
{
	return request == KVM_SET_SIGNAL_MASK ? 0 : not_reported(fd, request, argument);
}

const struct defect byte_defects[] = {
	{"ignored", ignore_byte, NULL},
	{"only_one", only_one, NULL},
	{"only_bit_zero", only_bit_zero, NULL},
	{"only_positive", only_positive, NULL},
	{"wrong_byte", wrong_byte, NULL},
	{"wide_load", wide_load, NULL},
	{"cleared_at_once", cleared_at_once, NULL},
	{"cleared_by_normal_run", cleared_by_normal_run, NULL},
	{"padding_written", padding_written, NULL},
	{"window_request_written", window_request_written, NULL},
	{"window_request_hides", window_request_hides, NULL},
	{"exit_reason_written", exit_reason_written, NULL},
	{"exit_reason_reset", exit_reason_reset, NULL},
	{"returns_zero", returns_zero, NULL},
	{"returns_eagain", returns_eagain, NULL},
	{"one_instruction_late", one_instruction_late, NULL},
	{"late", late, NULL},
	{"polled_again", polled_again, NULL},
	{"byte_of_newest", byte_of_newest, NULL},
	{"byte_of_the_vm", byte_of_the_vm, NULL},
	{"byte_of_other_vms", byte_of_other_vms, NULL},
	{"before_first_run_only", before_first_run_only, NULL},
	{"after_first_run_only", after_first_run_only, NULL},
	{"edge_triggered", edge_triggered, NULL},
	{"latched", latched, NULL},
	{"latched_as_a_signal", latched_as_a_signal, NULL},
	{"same_thread_only", same_thread_only, NULL},
	{"not_reported", plain, not_reported},
	{"not_reported_by_vm", plain, not_reported_by_vm},
	{"not_reported_with_vcpu", plain, not_reported_with_vcpu},
	{"mapping_too_small", plain, mapping_too_small},
	{"absent", ignore_byte, not_reported},
	{"absent_and_cleared", absent_and_cleared, not_reported},
	{"absent_and_set", absent_and_set, not_reported},
	{"absent_and_no_mask", ignore_byte, absent_and_no_mask},
	{NULL, NULL, NULL},
};
