/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */
/*
 * The system call memuse: bytes of a process's memory that are really there.
 *
 *	long bytes = memuse(getpid(), MEMUSE_HEAP);
 *
 * Returns -1 and sets errno: ENOSYS (the module is not loaded), EINVAL (no such
 * type), ESRCH (no such process, or it ended meanwhile), EPERM (another user's
 * process), EFAULT (its page tables are broken), EAGAIN (it became another
 * program at each of many looks), ENOMEM.
 */
#ifndef PAGELENS_MEMUSE_H
#define PAGELENS_MEMUSE_H

#include <sys/types.h>
#include <unistd.h>

/* Define it before the inclusion if the module was loaded with another nr=. */
#ifndef MEMUSE_NR
#define MEMUSE_NR 388
#endif

enum memuse_type {
	MEMUSE_ALL = 0,			/* all user memory: the sum of 1 and 3 to 8 */
	MEMUSE_CALL_STACK = 1,		/* the main stack */
	MEMUSE_KERNEL_STACK = 2,	/* the kernel stacks of all threads */
	MEMUSE_HEAP = 3,		/* the heap that brk() made */
	MEMUSE_THREAD_STACKS = 4,	/* the user stacks of threads */
	MEMUSE_ANONYMOUS = 5,		/* other private anonymous mappings */
	MEMUSE_FILE = 6,		/* mappings of files */
	MEMUSE_SHARED = 7,		/* shared memory */
	MEMUSE_VDSO = 8,		/* the kernel's: vdso, vvar */
	MEMUSE_PAGE_TABLES = 9,
	MEMUSE_SWAPPED = 10,
};

static inline long memuse(pid_t pid, int type)
{
	return syscall(MEMUSE_NR, pid, type);
}

#endif
