// SPDX-License-Identifier: GPL-2.0
#include <linux/dcache.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmap_lock.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/shmem_fs.h>
#include <linux/task_work.h>
#include <linux/timer.h>
#include <linux/user_namespace.h>

#include "shim.h"

/* task.rs */

struct pid *kx_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

struct pid *kx_get_current_tgid(void)
{
	return get_pid(task_tgid(current));
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

int kx_has_stack(const struct task_struct *thread)
{
	return refcount_read(&thread->stack_refcount) != 0;
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

/*
 * The lock has no time-out of its own. So a timer ends the waiting: it wakes the task as
 * set_notify_signal() does for work that is done on the way to user space.
 */
struct kx_alarm {
	struct timer_list timer;
	struct task_struct *task;
};

static void ring(struct timer_list *timer)
{
	struct kx_alarm *alarm = container_of(timer, struct kx_alarm, timer);

	set_tsk_thread_flag(alarm->task, TIF_NOTIFY_SIGNAL);
	wake_up_process(alarm->task);
}

/*
 * What is there already, and will be looked at on the way to user space only, shall not keep the
 * task from waiting interruptibly: signals with a handler, and work. Killing and freezing shall;
 * who does that says so before it wakes the task, which takes this lock.
 * Returns whether somebody has asked for work.
 */
static bool turn_deaf(void)
{
	spin_lock_irq(&current->sighand->siglock);
	if (!__fatal_signal_pending(current) && !freezing(current) &&
	    !(current->jobctl & JOBCTL_TRAP_FREEZE))
		clear_thread_flag(TIF_SIGPENDING);
	spin_unlock_irq(&current->sighand->siglock);
	return test_and_clear_thread_flag(TIF_NOTIFY_SIGNAL);
}

/*
 * Who asks for work enters it first and sets the flag then. Some work is entered without; then the
 * flag is set for nothing, which nobody minds but who waits, and it is cleared before that.
 */
static void listen_again(bool is_work)
{
	clear_notify_signal();
	if (is_work || task_work_pending(current))
		set_thread_flag(TIF_NOTIFY_SIGNAL);
	spin_lock_irq(&current->sighand->siglock);
	recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
}

/*
 * Waits for @patience nanoseconds, or for ever if that is KX_FOR_EVER; interruptibly, as the
 * freezers wake nobody else. -EINTR also for what comes meanwhile and is no reason to give up: then
 * the caller may try again.
 */
int kx_mmap_read_lock_within(struct mm_struct *mm, u64 patience)
{
	struct kx_alarm alarm = { .task = current };
	bool is_work = turn_deaf();
	int err;

	timer_setup_on_stack(&alarm.timer, ring, 0);
	if (patience != KX_FOR_EVER)
		mod_timer(&alarm.timer, jiffies + nsecs_to_jiffies(patience) + 1);
	/* As mmap_read_lock_killable() does it. */
	__mmap_lock_trace_start_locking(mm, false);
	err = down_read_interruptible(&mm->mmap_lock);
	__mmap_lock_trace_acquire_returned(mm, false, !err);
	timer_delete_sync(&alarm.timer);
	timer_destroy_on_stack(&alarm.timer);
	listen_again(is_work);
	return err;
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

/* layout.rs */

void kx_mm_segments(struct mm_struct *mm, struct kx_segments *segments)
{
	spin_lock(&mm->arg_lock);
	*segments = (struct kx_segments) {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
	};
	spin_unlock(&mm->arg_lock);
}

unsigned long kx_mm_rss(struct mm_struct *mm)
{
	return get_mm_counter_sum(mm, MM_FILEPAGES) + get_mm_counter_sum(mm, MM_ANONPAGES) +
	       get_mm_counter_sum(mm, MM_SHMEMPAGES);
}

static char *format_name(char *buffer, int size, const char *format, const char *name)
{
	snprintf(buffer, size, format, name);
	return buffer;
}

/* What /proc/PID/maps shows, in its order of precedence. */
char *kx_vma_name(struct vm_area_struct *vma, char *buffer, int size)
{
	struct anon_vma_name *anon_name = anon_vma_name(vma);
	const char *name;

	if (vma->vm_file && anon_name)
		return format_name(buffer, size, "[anon_shmem:%s]", anon_name->name);
	if (vma->vm_file)
		return d_path(file_user_path(vma->vm_file), buffer, size);
	if (vma->vm_ops && vma->vm_ops->name) {
		name = vma->vm_ops->name(vma);
		if (name)
			return format_name(buffer, size, "%s", name);
	}
	if (vma_is_initial_heap(vma))
		return format_name(buffer, size, "%s", "[heap]");
	if (vma_is_initial_stack(vma))
		return format_name(buffer, size, "%s", "[stack]");
	if (anon_name)
		return format_name(buffer, size, "[anon:%s]", anon_name->name);
	return format_name(buffer, size, "%s", "");
}
