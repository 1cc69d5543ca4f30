// SPDX-License-Identifier: GPL-2.0-only
/* KVM_RUN from a process that did not create the VM. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>

#include "child.h"
#include "native.h"

/* The child's pid, or -errno. The child writes what KVM_RUN gave, value or -errno, and is gone. */
int ke_run_in_child(int vcpu_fd, int answer_fd)
{
	pid_t child = ke_fork();
	int64_t answer;

	if (child)
		return child < 0 ? -errno : child;
	answer = ke_ioctl(vcpu_fd, KVM_RUN, NULL);
	_exit(write(answer_fd, &answer, sizeof(answer)) != sizeof(answer));
}
