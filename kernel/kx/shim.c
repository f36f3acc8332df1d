// SPDX-License-Identifier: GPL-2.0
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/compat.h>
#include <linux/fprobe.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/magic.h>
#include <linux/memory_hotplug.h>
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

void kx_cond_resched(void)
{
	cond_resched();
}

int kx_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

/* log.rs: the state is the module's own, as this file is compiled into each. */

int kx_log_ratelimit(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}

/* chunked.rs: fails rather than letting the OOM killer find the memory. */

void *kx_page_alloc(void)
{
	return (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
}

/* task.rs */

struct pid *kx_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

struct mm_struct *kx_process_mm(struct task_struct *leader)
{
	struct mm_struct *mm = NULL;
	struct task_struct *thread;

	rcu_read_lock();
	for_each_thread(leader, thread) {
		task_lock(thread);
		if (!(thread->flags & PF_KTHREAD))
			mm = thread->mm;
		if (mm)
			mmgrab(mm);
		task_unlock(thread);
		if (mm)
			break;
	}
	rcu_read_unlock();
	return mm;
}

/* target.rs */

void kx_put_task(struct task_struct *task)
{
	put_task_struct(task);
}

int kx_exec_lock(struct task_struct *task)
{
	return down_read_killable(&task->signal->exec_update_lock);
}

void kx_exec_unlock(struct task_struct *task)
{
	up_read(&task->signal->exec_update_lock);
}

static bool has_same_ids(const struct cred *cred, const struct cred *of)
{
	return uid_eq(cred->uid, of->euid) && uid_eq(cred->uid, of->suid) &&
	       uid_eq(cred->uid, of->uid) && gid_eq(cred->gid, of->egid) &&
	       gid_eq(cred->gid, of->sgid) && gid_eq(cred->gid, of->gid);
}

/*
 * What ptrace_may_access() decides for PTRACE_MODE_READ_REALCREDS, without the
 * security modules: neither it nor their hook is exported.
 */
int kx_may_inspect(struct task_struct *task)
{
	const struct task_exec_state *state;
	const struct cred *cred;
	bool may;

	if (same_thread_group(task, current))
		return 1;
	rcu_read_lock();
	cred = __task_cred(task);
	may = has_same_ids(current_cred(), cred) || ns_capable(cred->user_ns, CAP_SYS_PTRACE);
	/* Who gives up rights and becomes undumpable does it in that order. */
	smp_rmb();
	state = rcu_dereference(task->exec_state);
	may = may && (READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER ||
		      ns_capable(state->user_ns, CAP_SYS_PTRACE));
	rcu_read_unlock();
	return may;
}

int kx_is_kthread(const struct task_struct *task)
{
	return (task->flags & PF_KTHREAD) != 0;
}

/* A leader that has ended has given up its stack, but stays in the count. */
unsigned long kx_kernel_stacks(const struct task_struct *task)
{
	const struct task_struct *leader;
	unsigned long stacks;

	rcu_read_lock();
	leader = READ_ONCE(task->group_leader);
	stacks = READ_ONCE(task->signal->nr_threads);
	if (stacks && !refcount_read(&leader->stack_refcount))
		stacks--;
	rcu_read_unlock();
	return stacks * THREAD_SIZE;
}

/*
 * A thread cannot lose its kernel stack, where its user registers are, before
 * it has given up its mm, for which it needs the lock that is held here.
 */
unsigned long kx_thread_stack_pointers(struct task_struct *task, const struct mm_struct *mm,
				       u64 *pointers, unsigned long room)
{
	struct task_struct *thread;
	unsigned long found = 0;

	rcu_read_lock();
	for_each_thread(task, thread) {
		task_lock(thread);
		if (thread->mm == mm) {
			if (found < room)
				pointers[found] = READ_ONCE(task_pt_regs(thread)->sp);
			found++;
		}
		task_unlock(thread);
	}
	rcu_read_unlock();
	return found;
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

/* walk.rs */

static pmd_t *find_pmd(struct mm_struct *mm, unsigned long addr, unsigned long end,
		       unsigned long *next, pud_t *pud, bool *corrupt)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;

	*pud = __pud(0);
	*corrupt = false;
	*next = pgd_addr_end(addr, end);
	if (pgd_none(*pgd))
		return NULL;
	*corrupt = pgd_bad(*pgd);
	if (unlikely(*corrupt))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	*next = p4d_addr_end(addr, end);
	if (p4d_none(*p4d))
		return NULL;
	*corrupt = p4d_bad(*p4d);
	if (unlikely(*corrupt))
		return NULL;
	*next = pud_addr_end(addr, end);
	*pud = READ_ONCE(*pud_offset(p4d, addr));
	if (pud_none(*pud) || pud_leaf(*pud) || !pud_present(*pud))
		return NULL;
	*corrupt = pud_bad(*pud);
	if (unlikely(*corrupt))
		return NULL;
	*next = pmd_addr_end(addr, end);
	return pmd_offset(pud, addr);
}

static unsigned int pmd_slot(pmd_t pmd)
{
	if (pmd_none(pmd))
		return KX_HOLE;
	if (!pmd_present(pmd) || pmd_leaf(pmd))
		return KX_PMD;
	/* Never pmd_none_or_clear_bad(): the table is not ours to mend. */
	return unlikely(pmd_bad(pmd)) ? KX_CORRUPT : KX_TABLE;
}

unsigned int kx_find_slot(struct mm_struct *mm, unsigned long addr, unsigned long end,
			  unsigned long *next, u64 *values, unsigned int *count)
{
	unsigned int slot;
	bool corrupt;
	pmd_t *pmdp;
	pmd_t pmd;
	pud_t pud;

	*count = 1;
	pmdp = find_pmd(mm, addr, end, next, &pud, &corrupt);
	if (unlikely(corrupt))
		return KX_CORRUPT;
	if (!pmdp) {
		*values = pud_val(pud);
		return !pud_none(pud) && pud_present(pud) && pud_leaf(pud) ? KX_PUD : KX_HOLE;
	}
	pmd = pmdp_get_lockless(pmdp);
	*values = pmd_val(pmd);
	slot = pmd_slot(pmd);
	if (slot != KX_HOLE && slot != KX_PMD)
		return slot;
	/* The rest of the run, as far as this directory goes. */
	while (*next < end && (*next & ~PUD_MASK)) {
		pmd = pmdp_get_lockless(++pmdp);
		if (pmd_slot(pmd) != slot)
			break;
		values[(*count)++] = pmd_val(pmd);
		*next = pmd_addr_end(*next, end);
	}
	return slot;
}

/*
 * RCU keeps the table's page from being freed by those who do so with the mmap
 * lock held for read; its lock and the second look make sure that it is still
 * the table of this address.
 */
int kx_copy_table(struct mm_struct *mm, unsigned long addr, u64 seen,
		  u64 *entries, unsigned int count)
{
	unsigned long next;
	pmd_t pmd = __pmd(seen);
	spinlock_t *lock;
	unsigned int i;
	bool corrupt;
	pmd_t *pmdp;
	pud_t pud;
	pte_t *pte;
	int same;

	pmdp = find_pmd(mm, addr, addr + PAGE_SIZE, &next, &pud, &corrupt);
	if (unlikely(!pmdp))
		return 0;
	rcu_read_lock();
	if (unlikely(!pmd_same(pmd, pmdp_get_lockless(pmdp)))) {
		rcu_read_unlock();
		return 0;
	}
	pte = pte_offset_kernel(&pmd, addr);
	lock = pte_lockptr(mm, &pmd);
	spin_lock(lock);
	same = pmd_same(pmd, pmdp_get_lockless(pmdp));
	if (likely(same))
		for (i = 0; i < count; i++)
			entries[i] = pte_val(ptep_get(pte + i));
	spin_unlock(lock);
	rcu_read_unlock();
	return same;
}

static int is_resident(softleaf_t leaf)
{
	return softleaf_is_migration(leaf) || softleaf_is_device_private(leaf) ||
	       softleaf_is_device_exclusive(leaf);
}

int kx_pte_is_resident(u64 value)
{
	return is_resident(softleaf_from_pte(__pte(value)));
}

int kx_pmd_is_resident(u64 value)
{
	return is_resident(softleaf_from_pmd(__pmd(value)));
}

u64 kx_pfn_mask(void)
{
	return PTE_PFN_MASK;
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

/* table.rs */

static_assert(PTRS_PER_PGD == KX_TABLE_ENTRIES);

unsigned int kx_paging_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

static void copy_top_table(const pgd_t *pgd, u64 *entries)
{
	unsigned int i;

	for (i = 0; i < KX_TABLE_ENTRIES; i++)
		entries[i] = READ_ONCE(pgd[i].pgd);
}

/* Returns whether programs run with a table of their own (PTI), which then is in @user. */
int kx_copy_top_table(struct mm_struct *mm, u64 *entries, u64 *user)
{
	copy_top_table(mm->pgd, entries);
#ifdef CONFIG_MITIGATION_PAGE_TABLE_ISOLATION
	if (boot_cpu_has(X86_FEATURE_PTI)) {
		copy_top_table(kernel_to_user_pgdp(mm->pgd), user);
		return 1;
	}
#endif
	return 0;
}

/*
 * The entries of pgd, p4d, pud and pmd that translate @addr; 0 below the first
 * that leads no further. With four levels, pgd and p4d are the same entry.
 */
void kx_read_path(struct mm_struct *mm, unsigned long addr, u64 path[4])
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4dp, p4d;
	pud_t pud;

	memset(path, 0, 4 * sizeof(*path));
	path[0] = READ_ONCE(pgd->pgd);
	if (pgd_none(*pgd) || unlikely(pgd_bad(*pgd)))
		return;
	p4dp = p4d_offset(pgd, addr);
	p4d = READ_ONCE(*p4dp);
	path[1] = p4d_val(p4d);
	if (p4d_none(p4d) || unlikely(p4d_bad(p4d)))
		return;
	pud = READ_ONCE(*pud_offset(p4dp, addr));
	path[2] = pud_val(pud);
	if (pud_none(pud) || !pud_present(pud) || pud_leaf(pud) || unlikely(pud_bad(pud)))
		return;
	path[3] = pmd_val(pmdp_get_lockless(pmd_offset(&pud, addr)));
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

unsigned int kx_frame_get(unsigned long pfn, const void **frame)
{
	struct page *page = pfn_to_online_page(pfn);
	unsigned int found;

	if (!page)
		return KX_CLOSED;
	rcu_read_lock();
	found = frame_get(page);
	rcu_read_unlock();
	if (likely(found == KX_FOUND))
		*frame = page_address(page);
	return found;
}

void kx_frame_put(const void *frame)
{
	folio_put(virt_to_folio(frame));
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

/* syscall.rs: the size of a kprobe is the kernel's own affair, so C allocates it. */

struct kx_kprobe {
	struct kprobe probe;
	void *context;
};

/* A probe with a post handler may change where execution goes on. */
static void changes_ip(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

struct kprobe *kx_kprobe_register(const char *function, kx_kprobe_handler handler,
				  void *context, int *error)
{
	struct kx_kprobe *mine = kzalloc(sizeof(*mine), GFP_KERNEL);

	if (!mine) {
		*error = -ENOMEM;
		return NULL;
	}
	mine->probe.symbol_name = function;
	mine->probe.pre_handler = handler;
	mine->probe.post_handler = changes_ip;
	mine->context = context;
	*error = register_kprobe(&mine->probe);
	if (*error) {
		kfree(mine);
		return NULL;
	}
	return &mine->probe;
}

void *kx_kprobe_context(struct kprobe *probe)
{
	return container_of(probe, struct kx_kprobe, probe)->context;
}

void kx_kprobe_unregister(struct kprobe *probe)
{
	unregister_kprobe(probe);
	kfree(container_of(probe, struct kx_kprobe, probe));
}

int kx_in_32bit_syscall(void)
{
	return in_32bit_syscall();
}

/* The table that this kernel's own dispatcher is made of; it names the gaps too. */

#define __SYSCALL(number, function) \
	[number] = __builtin_strcmp(#function, "sys_ni_syscall") != 0,
#define __SYSCALL_NORETURN __SYSCALL
static const bool assigned[] = {
#include <asm/syscalls_64.h>
};

#undef __SYSCALL
#undef __SYSCALL_NORETURN

int kx_syscall_is_assigned(unsigned int number)
{
	return number >= ARRAY_SIZE(assigned) || assigned[number];
}

/* probe.rs */

unsigned long kx_ftrace_argument(const struct ftrace_regs *regs, unsigned int n)
{
	return ftrace_regs_get_argument((struct ftrace_regs *)regs, n);
}

/* watch.rs */

/* Another task, not a kernel thread that has borrowed the address space. */
unsigned int kx_remote(const struct vm_area_struct *vma)
{
	return current->mm == vma->vm_mm ? 0 : KX_FAULT_REMOTE;
}

/* With WP_ASYNC the kernel takes the mark away by itself and goes on. */
static bool waits_for_userfaultfd(const struct vm_area_struct *vma)
{
#ifdef CONFIG_USERFAULTFD
	struct userfaultfd_ctx *ctx = vma->vm_userfaultfd_ctx.ctx;

	return !ctx || !(ctx->features & UFFD_FEATURE_WP_ASYNC);
#else
	return true;
#endif
}

/* What is decided before the page is looked at; 0 for a private write. */
static unsigned int not_private(const struct vm_fault *vmf)
{
	if (vmf->vma->vm_flags & (VM_SHARED | VM_MAYSHARE))
		return KX_FAULT_SHARED;
	if (vmf->flags & FAULT_FLAG_UNSHARE)
		return KX_FAULT_UNSHARE;
	return 0;
}

/* Whether this address space alone maps the page of a large folio and nobody else holds it. */
static bool is_sole(const struct folio *folio)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	int mapped = folio_large_mapcount(folio);

	return mapped > 1 && mapped == folio_ref_count(folio) &&
	       !test_bit(FOLIO_MM_IDS_SHARED_BITNUM, &folio->_mm_ids);
#else
	return false;
#endif
}

unsigned int kx_write_fault(const struct vm_fault *vmf)
{
	unsigned int facts = not_private(vmf);
	pte_t pte = vmf->orig_pte;
	const struct folio *folio;
	struct page *page;

	if (facts)
		return facts;
	if (userfaultfd_pte_wp(vmf->vma, pte) && waits_for_userfaultfd(vmf->vma))
		return KX_FAULT_UFFD;
	facts = kx_remote(vmf->vma);
	if (pte_special(pte))
		return facts | (is_zero_pfn(pte_pfn(pte)) ? KX_FAULT_ZERO : 0);
	page = pte_page(pte);
	folio = page_folio(page);
	if (!folio_test_anon(folio))
		return facts;
	facts |= KX_FAULT_ANON;
	if (folio_test_ksm(folio))
		return facts;
	if (PageAnonExclusive(page))
		return facts | KX_FAULT_EXCLUSIVE;
	return facts | (folio_test_large(folio) && is_sole(folio) ? KX_FAULT_SOLE : 0);
}

unsigned int kx_huge_write_fault(const struct vm_fault *vmf)
{
	unsigned int facts = not_private(vmf);

	if (facts)
		return facts;
	facts = kx_remote(vmf->vma);
	if (pmd_special(vmf->orig_pmd))
		return facts | KX_FAULT_ZERO;
	/* The table's lock is not held yet: no check of what kind of page it is now. */
	if (test_bit(PG_anon_exclusive, &pmd_page(vmf->orig_pmd)->flags.f))
		facts |= KX_FAULT_EXCLUSIVE;
	return facts;
}

int kx_is_first_private_write(const struct vm_fault *vmf)
{
	/* A second attempt was counted as the first. */
	return (vmf->flags & FAULT_FLAG_WRITE) && !(vmf->flags & FAULT_FLAG_TRIED) &&
	       !(vmf->vma->vm_flags & VM_SHARED);
}

unsigned int kx_takeover(const struct folio *folio, const struct vm_area_struct *vma)
{
	unsigned int facts = kx_remote(vma);

	/* Moving pages with userfaultfd: exclusive, or not mapped. */
	if (folio_test_hugetlb(folio) || PageAnonExclusive(&folio->page) || !folio_mapped(folio))
		return KX_FAULT_EXCLUSIVE;
	return facts | (folio_test_large(folio) ? 0 : KX_FAULT_SMALL);
}

struct mm_struct *kx_task_mm(const struct task_struct *task)
{
	return task->mm;
}

int kx_owner_comm(const struct mm_struct *mm, char *comm)
{
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	if (owner)
		memcpy(comm, owner->comm, TASK_COMM_LEN);
	rcu_read_unlock();
	return !!owner;
}

unsigned int kx_areas(struct mm_struct *mm, unsigned long *ranges, unsigned int most)
{
	VMA_ITERATOR(vmi, mm, 0);
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

/* The last reference is somebody else's, by the caller's promise: this frees nothing. */
void kx_mmdrop_not_last(struct mm_struct *mm)
{
	atomic_dec(&mm->mm_count);
}

/* The layout that sys.rs declares. */

static_assert(sizeof(struct fprobe) == 48);
static_assert(offsetof(struct fprobe, entry_data_size) == 16);
static_assert(offsetof(struct fprobe, entry_handler) == 24);
static_assert(offsetof(struct fprobe, exit_handler) == 32);
static_assert(offsetof(struct fprobe, hlist_array) == 40);

static_assert(offsetof(struct proc_ops, proc_flags) == 0);
static_assert(offsetof(struct proc_ops, proc_open) == 8);
static_assert(offsetof(struct proc_ops, proc_read) == 16);
static_assert(offsetof(struct proc_ops, proc_read_iter) == 24);
static_assert(offsetof(struct proc_ops, proc_write) == 32);
static_assert(offsetof(struct proc_ops, proc_lseek) == 40);
static_assert(offsetof(struct proc_ops, proc_release) == 48);
static_assert(sizeof(struct proc_ops) <= 128);
