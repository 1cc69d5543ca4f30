// SPDX-License-Identifier: GPL-2.0-only
/* Defects of a vCPU's state that only riscv64 has. */
#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "broken_kvm.h"

#if defined(__riscv)

#define LONG_REGISTER(kind, number) \
	(KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_##kind | (number))
#define CORE(name) LONG_REGISTER(CORE, KVM_REG_RISCV_CORE_REG(name))
#define INSTRUCTION_BYTES 4

static uint64_t get_register(int fd, uint64_t id)
{
	uint64_t value = 0;
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)&value};

	kernel(fd, KVM_GET_ONE_REG, &request);
	return value;
}

static void set_register(int fd, uint64_t id, uint64_t value)
{
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)&value};

	kernel(fd, KVM_SET_ONE_REG, &request);
}

static int starts_hart(struct call *call)
{
	struct kvm_mp_state state = {0}, runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		kernel(call->fd, KVM_GET_MP_STATE, &state);
		if (state.mp_state == KVM_MP_STATE_STOPPED)
			kernel(call->fd, KVM_SET_MP_STATE, &runnable);
		errno = EINTR;
	}
	return value;
}

/* Whether no vCPU of the VM has run but with the byte set. A register's call names the vCPU. */
static int is_fresh(int fd)
{
	for (int each = 0; each < VCPUS; each++)
		if (vcpus[each].open && vcpus[each].ran && (vcpus[each].vm == fd || each == fd))
			return 0;
	return 1;
}

static int stays_free(int fd, unsigned long request, void *argument)
{
	int value = kernel(fd, request, argument);

	return value == -1 && errno == EBUSY && is_fresh(fd) ? 0 : value;
}

/* kvm_riscv_vcpu_sbi_return() without its return_handled. */
static int ends_calls_again(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->run->exit_reason == KVM_EXIT_RISCV_SBI) {
		if (call->vcpu->preset)
			set_register(
				call->fd, CORE(regs.pc),
				get_register(call->fd, CORE(regs.pc)) + INSTRUCTION_BYTES);
		errno = EINTR;
	}
	return value;
}

/* And of an access to MMIO, kvm_riscv_vcpu_mmio_return(). */
static int ends_accesses_again(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->run->exit_reason == KVM_EXIT_MMIO) {
		if (call->vcpu->preset)
			set_register(
				call->fd, CORE(regs.pc),
				get_register(call->fd, CORE(regs.pc)) + INSTRUCTION_BYTES);
		errno = EINTR;
	}
	return value;
}

static int drops_value_of_call(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value) && call->run->exit_reason == KVM_EXIT_RISCV_SBI) {
		set_register(call->fd, CORE(regs.a1), 0);
		errno = EINTR;
	}
	return value;
}

static int drops_cause(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		set_register(call->fd, LONG_REGISTER(CSR, KVM_REG_RISCV_CSR_REG(scause)), 0);
		errno = EINTR;
	}
	return value;
}

static int drops_interrupts(struct call *call)
{
	int value = plain(call);

	if (is_immediate_exit(call, value)) {
		set_register(call->fd, LONG_REGISTER(CSR, KVM_REG_RISCV_CSR_REG(sip)), 0);
		errno = EINTR;
	}
	return value;
}

const struct defect riscv64_defects[] = {
	{"starts_hart", starts_hart, NULL},
	{"stays_free", plain, stays_free},
	{"ends_calls_again", ends_calls_again, NULL},
	{"ends_accesses_again", ends_accesses_again, NULL},
	{"drops_value_of_call", drops_value_of_call, NULL},
	{"drops_cause", drops_cause, NULL},
	{"drops_interrupts", drops_interrupts, NULL},
	{NULL, NULL, NULL},
};

#else

const struct defect riscv64_defects[] = {{NULL, NULL, NULL}};

#endif
