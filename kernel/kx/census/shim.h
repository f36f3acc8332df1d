/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_CENSUS_SHIM_H
#define KX_CENSUS_SHIM_H

#include <linux/types.h>

struct cgroup;
struct mm_struct;
struct pid_namespace;
struct task_struct;
struct vm_area_struct;

/* scope.rs */
struct cgroup *kx_cgroup_of(int fd);
void kx_cgroup_put(struct cgroup *cgroup);
int kx_is_in_cgroup(struct task_struct *task, struct cgroup *cgroup);
struct pid_namespace *kx_pid_ns_of(int fd);

/* facts.rs */
struct kx_process {
	u64 cgroup, start_time;
	u32 parent, user;
};

void kx_process_facts(struct task_struct *task, struct pid_namespace *ns,
		      struct kx_process *facts);

void kx_process_life(const struct task_struct *task, u64 *live, u64 *started);

struct kx_counters {
	u64 anonymous, file, shared_memory, swapped;	/* pages */
	u64 total, locked, hugetlb;			/* pages */
	u64 areas, users;
};

void kx_mm_counters(struct mm_struct *mm, struct kx_counters *counters);

struct kx_file {
	u64 inode;
	u32 major, minor;
};

void kx_vma_file(const struct vm_area_struct *vma, struct kx_file *file);
int kx_vma_is_locked(const struct vm_area_struct *vma);
int kx_vma_is_heap(const struct vm_area_struct *vma);
int kx_vma_is_stack(const struct vm_area_struct *vma);

#endif
