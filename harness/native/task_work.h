/* SPDX-License-Identifier: GPL-2.0-only */
/* task_work.c: see harness/host/task_work.py. */
#ifndef KE_TASK_WORK_H
#define KE_TASK_WORK_H

struct ke_task_work;

struct ke_task_work *ke_task_work_begin(int fd, int *error);
int ke_task_work_done(const struct ke_task_work *work);
void ke_task_work_end(struct ke_task_work *work);

#endif
