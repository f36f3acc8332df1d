// SPDX-License-Identifier: GPL-2.0
#include <linux/build_bug.h>
#include <linux/proc_fs.h>

#include "shim.h"

/* procfile.rs */

void *kx_pde_data(const struct inode *inode)
{
	return pde_data(inode);
}

/* The layout that sys.rs declares. */

static_assert(offsetof(struct proc_ops, proc_flags) == 0);
static_assert(offsetof(struct proc_ops, proc_open) == 8);
static_assert(offsetof(struct proc_ops, proc_read) == 16);
static_assert(offsetof(struct proc_ops, proc_read_iter) == 24);
static_assert(offsetof(struct proc_ops, proc_write) == 32);
static_assert(offsetof(struct proc_ops, proc_lseek) == 40);
static_assert(offsetof(struct proc_ops, proc_release) == 48);
static_assert(sizeof(struct proc_ops) <= 128);
