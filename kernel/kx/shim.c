// SPDX-License-Identifier: GPL-2.0
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/freezer.h>
#include <linux/mm.h>
#include <linux/magic.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/mm_inline.h>
#include <linux/mmap_lock.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/swap.h>
#include <linux/user_namespace.h>
#include <asm/cpufeature.h>
#include <linux/userfaultfd_k.h>
/* Does not include all that it needs. */
#include <linux/leafops.h>

#include "shim.h"

/* sched.rs */

/*
 * For RCU-tasks too, on whose grace periods everybody waits who takes a probe
 * away: where the kernel preempts lazily, cond_resched() does nothing, and being
 * preempted is no quiescent state there.
 */
void kx_cond_resched(void)
{
	cond_resched_tasks_rcu_qs();
}

int kx_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

/*
 * The second freezer is that of cgroups. Whoever asks for freezing wakes the task
 * like a signal after having said so: before that, a call could not be restarted.
 */
int kx_must_freeze(void)
{
	return signal_pending(current) &&
	       (freezing(current) || READ_ONCE(current->jobctl) & JOBCTL_TRAP_FREEZE);
}

/* log.rs: the state is the module's own, as this file is compiled into each. */

int kx_log_ratelimit(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}

/*
 * chunked.rs, charged.rs: the caller's cgroup pays, and the allocation fails
 * rather than letting an OOM killer find the memory.
 */

#define CHARGED (GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

gfp_t kx_charged_flags(void)
{
	return CHARGED;
}

void *kx_page_alloc(void)
{
	return (void *)__get_free_page(CHARGED);
}

void *kx_charged_alloc(size_t size)
{
	return kvzalloc(size, CHARGED);
}

/* task.rs */

struct pid *kx_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

/* threads.rs */

struct mm_struct *kx_thread_mm(struct task_struct *thread)
{
	struct mm_struct *mm = NULL;

	task_lock(thread);
	if (!(thread->flags & PF_KTHREAD))
		mm = thread->mm;
	if (mm)
		mmgrab(mm);
	task_unlock(thread);
	return mm;
}

/*
 * The thread of the process of @task that follows @thread, or is the first if
 * there is none; for an RCU read section in which @thread was on the list.
 * @task may have left it: what is looked at, its signal_struct, it keeps.
 */
struct task_struct *kx_next_thread(const struct task_struct *task, struct task_struct *thread)
{
	struct list_head *threads = &task->signal->thread_head;

	return list_next_or_null_rcu(threads, thread ? &thread->thread_node : threads,
				     struct task_struct, thread_node);
}

int kx_is_listed(const struct task_struct *thread)
{
	return pid_alive(thread);
}

/* target.rs */

int kx_exec_lock(struct task_struct *task)
{
	return down_read_killable(&task->signal->exec_update_lock);
}

void kx_exec_unlock(struct task_struct *task)
{
	up_read(&task->signal->exec_update_lock);
}

int kx_is_same_process(const struct task_struct *a, const struct task_struct *b)
{
	return a->signal == b->signal;
}

/*
 * Whether the program of @task lets its owner look into it, and in whose user
 * namespace it runs; for an RCU read section, after the credentials were read.
 */
int kx_is_dumpable(const struct task_struct *task, struct user_namespace **ns)
{
	const struct task_exec_state *state;

	/*
	 * Pairs with the barrier in commit_creds(): who gives up rights becomes
	 * undumpable before that shows.
	 */
	smp_rmb();
	state = rcu_dereference(task->exec_state);
	*ns = state->user_ns;
	return READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER;
}

int kx_is_kthread(const struct task_struct *task)
{
	return (task->flags & PF_KTHREAD) != 0;
}

unsigned int kx_thread_count(const struct task_struct *task)
{
	return READ_ONCE(task->signal->nr_threads);
}

/*
 * The first thread of the list is the leader, unless it is on its way out after
 * an exec. One that has ended has given up its stack, but stays in the count for
 * as long as there are others. For a process that has a living thread.
 */
unsigned long kx_kernel_stacks(const struct task_struct *task)
{
	unsigned long stacks = kx_thread_count(task);
	const struct task_struct *first;

	rcu_read_lock();
	first = kx_next_thread(task, NULL);
	if (stacks > 1 && first && !refcount_read(&first->stack_refcount))
		stacks--;
	rcu_read_unlock();
	return stacks * THREAD_SIZE;
}

/*
 * A thread cannot lose its kernel stack, where its user registers are, before
 * it has given up its mm, for which it needs the lock that is held here.
 */
int kx_stack_pointer(struct task_struct *thread, const struct mm_struct *mm, u64 *pointer)
{
	int is_there;

	task_lock(thread);
	is_there = thread->mm == mm;
	if (is_there)
		*pointer = READ_ONCE(task_pt_regs(thread)->sp);
	task_unlock(thread);
	return is_there;
}

/* mm.rs */

unsigned long kx_page_table_bytes(const struct mm_struct *mm)
{
	return mm_pgtables_bytes(mm);
}

unsigned long kx_swapped_pages(struct mm_struct *mm)
{
	return get_mm_counter_sum(mm, MM_SWAPENTS);
}

int kx_vma_is_shared(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_MAYSHARE) != 0;
}

int kx_vma_grows_down(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_GROWSDOWN) != 0;
}

unsigned int kx_vma_backing(struct vm_area_struct *vma)
{
	if (vma_is_anonymous(vma))
		return KX_ANONYMOUS;
	if (!vma->vm_file)
		return KX_KERNEL;
	return kx_vma_is_shared(vma) && shmem_file(vma->vm_file) ? KX_SHARED : KX_FILE;
}

int kx_mmap_read_lock_killable(struct mm_struct *mm)
{
	return mmap_read_lock_killable(mm);
}

int kx_mmap_lock_is_contended(struct mm_struct *mm)
{
	return mmap_lock_is_contended(mm);
}

int kx_vma_is_shadow_stack(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_SHADOW_STACK) != 0;
}

/* Fails while the mappings are locked for changes, which give them another number. */
int kx_areas_version(struct mm_struct *mm, unsigned int *version)
{
	return mmap_lock_speculate_try_begin(mm, version);
}

/* From the one that holds @from, or the next. */
unsigned int kx_areas(struct mm_struct *mm, unsigned long from, unsigned long *ranges,
		      unsigned int most)
{
	VMA_ITERATOR(vmi, mm, from);
	struct vm_area_struct *vma;
	unsigned int n = 0;

	rcu_read_lock();
	for_each_vma(vmi, vma) {
		if (n == most)
			break;
		ranges[2 * n] = vma->vm_start;
		ranges[2 * n + 1] = vma->vm_end;
		n++;
	}
	rcu_read_unlock();
	return n;
}

/*
 * Without a lock, so the VMA itself is not looked at: it may be freed, and be another's. The tree
 * has its range, and whoever changes the tree lets readers finish.
 */
int kx_area_at(struct mm_struct *mm, unsigned long address, unsigned long *start)
{
	MA_STATE(mas, &mm->mm_mt, address, address);
	bool is_area;

	rcu_read_lock();
	is_area = mas_walk(&mas);
	rcu_read_unlock();
	*start = mas.index;
	return is_area;
}

/* frame.rs */

/*
 * The direct map lacks the frames of secretmem and may lack those of inaccessible
 * mappings. Reading the mapping without its lock is sound under RCU as long as
 * it is the folio's after the reference was taken: inodes and superblocks are
 * freed by RCU.
 */
static bool is_in_direct_map(struct folio *folio)
{
	struct address_space *mapping;

	if (folio_test_anon(folio))
		return true;
	mapping = READ_ONCE(folio->mapping);
	if (!mapping || (unsigned long)mapping & FOLIO_MAPPING_FLAGS)
		return false;
	return !mapping_inaccessible(mapping) && mapping->host &&
	       mapping->host->i_sb->s_magic != SECRETMEM_MAGIC;
}

static bool is_readable(struct folio *folio, struct page *page)
{
	return !PageHWPoison(page) && !folio_is_zone_device(folio) && is_in_direct_map(folio);
}

/*
 * Frames of processes only: those of others are not even counted up. What was
 * seen before the reference was ours is looked at again, as the frame may have
 * changed hands.
 */
static unsigned int frame_get(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (!folio_mapped(folio) || !folio_try_get(folio))
		return KX_LOST;
	if (likely(page_folio(page) == folio && folio_mapped(folio))) {
		if (likely(is_readable(folio, page)))
			return KX_FOUND;
		folio_put(folio);
		return KX_CLOSED;
	}
	folio_put(folio);
	return KX_LOST;
}

/* Memory that went offline was emptied before: what a process had there has moved. */
static unsigned int not_online(unsigned long pfn)
{
	struct dev_pagemap *device = get_dev_pagemap(pfn);

	if (!device)
		return KX_LOST;
	put_dev_pagemap(device);
	return KX_CLOSED;
}

/*
 * The section of the struct page stays from here to frame_get()'s return, see
 * kx_memory_watch(); after that, the reference keeps the frame from going offline.
 */
unsigned int kx_frame_get(unsigned long pfn, const void **frame)
{
	struct page *page;
	unsigned int found;

	rcu_read_lock();
	page = pfn_to_online_page(pfn);
	found = likely(page) ? frame_get(page) : not_online(pfn);
	rcu_read_unlock();
	if (likely(found == KX_FOUND))
		*frame = page_address(page);
	return found;
}

void kx_frame_put(const void *frame)
{
	folio_put(virt_to_folio(frame));
}

/*
 * Memory is marked offline first, then this is called, and only after that its
 * struct pages may be taken away. Who found them online is done when this returns.
 */
static int memory_changes(struct notifier_block *watch, unsigned long change, void *range)
{
	if (change == MEM_OFFLINE)
		synchronize_rcu();
	return NOTIFY_OK;
}

struct notifier_block *kx_memory_watch(void)
{
	struct notifier_block *watch = kzalloc(sizeof(*watch), GFP_KERNEL | __GFP_NOWARN);

	if (!watch)
		return NULL;
	watch->notifier_call = memory_changes;
	if (register_memory_notifier(watch)) {
		kfree(watch);
		return NULL;
	}
	return watch;
}

void kx_memory_unwatch(struct notifier_block *watch)
{
	unregister_memory_notifier(watch);
	kfree(watch);
}

/* procfile.rs */

void *kx_pde_data(const struct inode *inode)
{
	return pde_data(inode);
}

/* rawlock.rs */

void kx_raw_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

void kx_raw_lock(raw_spinlock_t *lock)
{
	raw_spin_lock(lock);
}

int kx_raw_trylock(raw_spinlock_t *lock)
{
	return raw_spin_trylock(lock);
}

void kx_raw_unlock(raw_spinlock_t *lock)
{
	raw_spin_unlock(lock);
}

void kx_raw_assert_held(raw_spinlock_t *lock)
{
	lockdep_assert_held(lock);
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
