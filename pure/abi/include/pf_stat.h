/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */
/*
 * The system calls of pf_stat: copy-on-write faults of the programs that bear
 * a name, which has at most 15 bytes (name_len does not count a NUL).
 *
 *	pf_set_param("redis-server", 12);	before the program is executed
 *	pf_get_info("redis-server", 12, &pf);	of its last execution
 *	pf_cleanup();				tracks nothing any more
 *
 * Each returns 0, or -1 and sets errno: ENOSYS (the module is not loaded), EPERM
 * (no CAP_PERFMON), EINVAL (no name, too long a name, no structure), EFAULT,
 * ENOMEM, EINTR; EBUSY of pf_set_param (kernel.ftrace_enabled is 0); ESRCH of
 * pf_get_info (not tracked, or not executed since).
 */
#ifndef PAGELENS_PF_STAT_H
#define PAGELENS_PF_STAT_H

#include <stddef.h>
#include <unistd.h>

#define PF_SET_PARAM_NR 385
#define PF_GET_INFO_NR 386
#define PF_CLEANUP_NR 387

/* Most memory areas that are told of. */
#define MAX_SIZE_PF 128

struct pf_stat {
	int nb_vma;		/* memory areas below */
	long cow_page_faults;	/* in all areas, also those that are not below */
	long vma_fault[MAX_SIZE_PF];
	unsigned long vma_list_start[MAX_SIZE_PF];
	unsigned long vma_list_end[MAX_SIZE_PF];
};

static inline long pf_set_param(const char *process_name, size_t name_len)
{
	return syscall(PF_SET_PARAM_NR, process_name, name_len);
}

static inline long pf_get_info(const char *process_name, size_t name_len,
			       struct pf_stat *pf)
{
	return syscall(PF_GET_INFO_NR, process_name, name_len, pf);
}

static inline long pf_cleanup(void)
{
	return syscall(PF_CLEANUP_NR);
}

#endif
