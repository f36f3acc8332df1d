/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel, given an address so that Rust can
 * call them. No policy here: what a function decides, it decides in Rust.
 */
#ifndef KX_SHIM_H
#define KX_SHIM_H

#include <linux/lockdep_types.h>
#include <linux/spinlock_types_raw.h>
#include <linux/types.h>

struct inode;
struct mm_struct;
struct notifier_block;
struct pid;
struct task_struct;
struct user_namespace;
struct vm_area_struct;

/* sched.rs */
void kx_cond_resched(void);
int kx_fatal_signal_pending(void);
int kx_must_freeze(void);

/* log.rs */
int kx_log_ratelimit(void);

/* chunked.rs */
void *kx_page_alloc(void);

/* charged.rs */
gfp_t kx_charged_flags(void);
void *kx_charged_alloc(size_t size);

/* task.rs */
struct pid *kx_get_pid(struct pid *pid);

/* threads.rs */
struct mm_struct *kx_thread_mm(struct task_struct *thread);
struct task_struct *kx_next_thread(const struct task_struct *task, struct task_struct *thread);
int kx_is_listed(const struct task_struct *thread);

/* target.rs */
int kx_exec_lock(struct task_struct *task);
void kx_exec_unlock(struct task_struct *task);
int kx_is_same_process(const struct task_struct *a, const struct task_struct *b);
int kx_is_dumpable(const struct task_struct *task, struct user_namespace **ns);
int kx_is_kthread(const struct task_struct *task);
unsigned int kx_thread_count(const struct task_struct *task);
unsigned long kx_kernel_stacks(const struct task_struct *task);
int kx_stack_pointer(struct task_struct *thread, const struct mm_struct *mm, u64 *pointer);

/* mm.rs */
unsigned long kx_page_table_bytes(const struct mm_struct *mm);
unsigned long kx_swapped_pages(struct mm_struct *mm);
int kx_vma_is_shared(const struct vm_area_struct *vma);
int kx_vma_grows_down(const struct vm_area_struct *vma);

enum kx_backing {
	KX_ANONYMOUS,	/* private, no file */
	KX_FILE,	/* a file */
	KX_SHARED,	/* shared, a file of tmpfs or its like */
	KX_KERNEL,	/* pages that the kernel hands out */
};

unsigned int kx_vma_backing(struct vm_area_struct *vma);
int kx_mmap_read_lock_killable(struct mm_struct *mm);
int kx_mmap_lock_is_contended(struct mm_struct *mm);
int kx_vma_is_shadow_stack(const struct vm_area_struct *vma);

int kx_areas_version(struct mm_struct *mm, unsigned int *version);
unsigned int kx_areas(struct mm_struct *mm, unsigned long from, unsigned long *ranges,
		      unsigned int most);
int kx_area_at(struct mm_struct *mm, unsigned long address, unsigned long *start);

/* frame.rs */
enum kx_frame {
	KX_FOUND,
	KX_LOST,	/* not a process's page */
	KX_CLOSED,	/* not to be read */
};

unsigned int kx_frame_get(unsigned long pfn, const void **frame);
void kx_frame_put(const void *frame);
struct notifier_block *kx_memory_watch(void);
void kx_memory_unwatch(struct notifier_block *watch);

/* procfile.rs */
void *kx_pde_data(const struct inode *inode);

/* rawlock.rs */
void kx_raw_lock_init(raw_spinlock_t *lock, const char *name,
		      struct lock_class_key *key);
void kx_raw_lock(raw_spinlock_t *lock);
int kx_raw_trylock(raw_spinlock_t *lock);
void kx_raw_unlock(raw_spinlock_t *lock);
void kx_raw_assert_held(raw_spinlock_t *lock);

#endif
