/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_MM_SHIM_H
#define KX_MM_SHIM_H

#include <linux/limits.h>
#include <linux/types.h>

struct mm_struct;
struct pid;
struct task_struct;
struct user_namespace;
struct vm_area_struct;

/* task.rs */
struct pid *kx_get_pid(struct pid *pid);
struct pid *kx_get_current_tgid(void);

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
int kx_has_stack(const struct task_struct *thread);
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

#define KX_FOR_EVER U64_MAX

int kx_mmap_read_lock_within(struct mm_struct *mm, u64 patience);
int kx_mmap_lock_is_contended(struct mm_struct *mm);
int kx_vma_is_shadow_stack(const struct vm_area_struct *vma);

int kx_areas_version(struct mm_struct *mm, unsigned int *version);
unsigned int kx_areas(struct mm_struct *mm, unsigned long from, unsigned long *ranges,
		      unsigned int most);
int kx_area_at(struct mm_struct *mm, unsigned long address, unsigned long *start);

/* layout.rs */
struct kx_segments {
	unsigned long start_code, end_code, start_data, end_data;
	unsigned long start_brk, brk, start_stack;
	unsigned long arg_start, arg_end, env_start, env_end;
};

void kx_mm_segments(struct mm_struct *mm, struct kx_segments *segments);
unsigned long kx_mm_rss(struct mm_struct *mm);
char *kx_vma_name(struct vm_area_struct *vma, char *buffer, int size);

#endif
