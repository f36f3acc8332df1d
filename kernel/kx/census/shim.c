// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_ns.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "shim.h"

/* scope.rs */

#ifdef CONFIG_CGROUPS
struct cgroup *kx_cgroup_of(int fd)
{
	return cgroup_get_from_fd(fd);
}

void kx_cgroup_put(struct cgroup *cgroup)
{
	cgroup_put(cgroup);
}

int kx_is_in_cgroup(struct task_struct *task, struct cgroup *cgroup)
{
	int is_in;

	rcu_read_lock();
	is_in = cgroup_is_descendant(task_dfl_cgroup(task), cgroup);
	rcu_read_unlock();
	return is_in;
}

static u64 cgroup_of(struct task_struct *task)
{
	return cgroup_id(task_dfl_cgroup(task));
}
#else
struct cgroup *kx_cgroup_of(int fd)
{
	return ERR_PTR(-EOPNOTSUPP);
}

void kx_cgroup_put(struct cgroup *cgroup)
{
}

int kx_is_in_cgroup(struct task_struct *task, struct cgroup *cgroup)
{
	return 0;
}

static u64 cgroup_of(struct task_struct *task)
{
	return 0;
}
#endif

/*
 * The operations of namespace files are not exported; but only they are regular
 * files of that file system.
 */
struct pid_namespace *kx_pid_ns_of(int fd)
{
	struct pid_namespace *ns = ERR_PTR(-EINVAL);
	struct file *file = fget(fd);
	struct ns_common *common;
	struct inode *inode;

	if (!file)
		return ERR_PTR(-EBADF);
	inode = file_inode(file);
	if (inode->i_sb->s_magic == NSFS_MAGIC && S_ISREG(inode->i_mode)) {
		common = get_proc_ns(inode);
		if (common->ns_type == CLONE_NEWPID)
			ns = get_pid_ns(container_of(common, struct pid_namespace, ns));
	}
	fput(file);
	return ns;
}

/* facts.rs */

void kx_process_facts(struct task_struct *task, struct pid_namespace *ns,
		      struct kx_process *facts)
{
	rcu_read_lock();
	*facts = (struct kx_process) {
		.cgroup = cgroup_of(task),
		.start_time = task->start_boottime,
		.parent = pid_alive(task) ?
			  task_tgid_nr_ns(rcu_dereference(task->real_parent), ns) : 0,
		.user = from_kuid_munged(current_user_ns(), task_uid(task)),
	};
	rcu_read_unlock();
}

/* Threads that have not ended yet, and when the first was started, by CLOCK_MONOTONIC. */
void kx_process_life(const struct task_struct *task, u64 *live, u64 *started)
{
	*live = atomic_read(&task->signal->live);
	*started = task->start_time;
}

/* Of one that has users. */
void kx_mm_counters(struct mm_struct *mm, struct kx_counters *counters)
{
	*counters = (struct kx_counters) {
		.anonymous = get_mm_counter_sum(mm, MM_ANONPAGES),
		.file = get_mm_counter_sum(mm, MM_FILEPAGES),
		.shared_memory = get_mm_counter_sum(mm, MM_SHMEMPAGES),
		.swapped = get_mm_counter_sum(mm, MM_SWAPENTS),
		.total = READ_ONCE(mm->total_vm),
		.locked = READ_ONCE(mm->locked_vm),
#ifdef CONFIG_HUGETLB_PAGE
		.hugetlb = atomic_long_read(&mm->hugetlb_usage),
#endif
		.areas = READ_ONCE(mm->map_count),
		.users = atomic_read(&mm->mm_users),
	};
}

/* As /proc/PID/maps shows it; nothing for a VMA without a file. */
void kx_vma_file(const struct vm_area_struct *vma, struct kx_file *file)
{
	const struct inode *inode;

	*file = (struct kx_file) {};
	if (!vma->vm_file)
		return;
	inode = file_user_inode(vma->vm_file);
	*file = (struct kx_file) {
		.inode = inode->i_ino,
		.major = MAJOR(inode->i_sb->s_dev),
		.minor = MINOR(inode->i_sb->s_dev),
	};
}

int kx_vma_is_locked(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_LOCKED) != 0;
}

int kx_vma_is_heap(const struct vm_area_struct *vma)
{
	return vma_is_initial_heap(vma);
}

int kx_vma_is_stack(const struct vm_area_struct *vma)
{
	return vma_is_initial_stack(vma);
}
