// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work for a thread that the kernel does on that thread: an io_uring poll of a descriptor, whose
 * completion interrupts whatever system call the thread is in (TWA_SIGNAL), without a signal. No
 * library: three system calls and two mappings.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "task_work.h"

struct ke_task_work {
	int ring;
	uint8_t *rings; /* both queues: IORING_FEAT_SINGLE_MMAP, 5.4 */
	size_t rings_size;
	struct io_uring_sqe *entries;
	size_t entries_size;
	struct io_uring_params params;
};

static uint32_t *word(const struct ke_task_work *work, uint32_t offset)
{
	return (uint32_t *)(work->rings + offset);
}

static int map(struct ke_task_work *work)
{
	const struct io_uring_params *params = &work->params;
	int rights = PROT_READ | PROT_WRITE;

	if (!(params->features & IORING_FEAT_SINGLE_MMAP))
		return -ENOSYS;
	work->rings_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	if (params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe) >
	    work->rings_size)
		work->rings_size =
			params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	work->entries_size = params->sq_entries * sizeof(struct io_uring_sqe);
	work->rings =
		mmap(NULL, work->rings_size, rights, MAP_SHARED, work->ring, IORING_OFF_SQ_RING);
	if (work->rings == MAP_FAILED)
		return -errno;
	work->entries =
		mmap(NULL, work->entries_size, rights, MAP_SHARED, work->ring, IORING_OFF_SQES);
	return work->entries == MAP_FAILED ? -errno : 0;
}

/* The calling thread waits for "fd" to become readable, in the background: 0 or -errno. */
static int submit(struct ke_task_work *work, int fd)
{
	uint32_t tail = *word(work, work->params.sq_off.tail);

	memset(work->entries, 0, sizeof(*work->entries));
	work->entries->opcode = IORING_OP_POLL_ADD;
	work->entries->fd = fd;
	work->entries->poll_events = POLLIN;
	*word(work, work->params.sq_off.array) = 0;
	/* Release: the kernel sees the entry when it sees the tail. */
	__atomic_store_n(word(work, work->params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, work->ring, 1, 0, 0, NULL, 0) == 1 ? 0 : -errno;
}

struct ke_task_work *ke_task_work_begin(int fd, int *error)
{
	struct ke_task_work *work = calloc(1, sizeof(*work));

	*error = -ENOMEM;
	if (!work)
		return NULL;
	work->rings = (uint8_t *)MAP_FAILED;
	work->entries = (struct io_uring_sqe *)MAP_FAILED;
	work->ring = (int)syscall(SYS_io_uring_setup, 1, &work->params);
	*error = work->ring < 0 ? -errno : map(work);
	if (!*error)
		*error = submit(work, fd);
	if (!*error)
		return work;
	ke_task_work_end(work);
	return NULL;
}

/* Whether it is done, and the thread has done it. */
int ke_task_work_done(const struct ke_task_work *work)
{
	return __atomic_load_n(word(work, work->params.cq_off.tail), __ATOMIC_ACQUIRE) != 0;
}

void ke_task_work_end(struct ke_task_work *work)
{
	if (work->entries != MAP_FAILED)
		munmap(work->entries, work->entries_size);
	if (work->rings != MAP_FAILED)
		munmap(work->rings, work->rings_size);
	if (work->ring >= 0)
		close(work->ring);
	free(work);
}
