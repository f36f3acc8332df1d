// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/unaligned.h>
#include <linux/userfaultfd_k.h>

#include "shim.h"
#include "till.h"

/* watch.rs: called for each fault, so each fact function is one call. */

/* Another task, not a kernel thread that has borrowed the address space. */
static __always_inline unsigned int remote(const struct vm_area_struct *vma)
{
	return current->mm == vma->vm_mm ? 0 : KX_FAULT_REMOTE;
}

static __always_inline bool bears(const struct task_struct *task, const char *name)
{
	static_assert(TASK_COMM_LEN == 16);
	return !((get_unaligned((const u64 *)task->comm) ^ get_unaligned((const u64 *)name)) |
		 (get_unaligned((const u64 *)task->comm + 1) ^
		  get_unaligned((const u64 *)name + 1)));
}

static noinline bool is_strange_to_current(const struct mm_struct *mm, const char *name)
{
	const struct task_struct *owner;
	bool is;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	/* Another thread is the owner if the leader has ended, which stays that until all have. */
	is = !owner || !bears(READ_ONCE(owner->group_leader), name);
	rcu_read_unlock();
	return is;
}

/* Whether the process that owns the memory bears another name, by its leader, or is gone. */
static __always_inline bool is_strange(const struct vm_area_struct *vma, const char *name)
{
	/* As a rule it is the current thread's leader, which cannot go away: RCU is not needed. */
	if (likely(rcu_access_pointer(vma->vm_mm->owner) == current->group_leader))
		return !bears(current->group_leader, name);
	return is_strange_to_current(vma->vm_mm, name);
}

/* With WP_ASYNC the kernel takes the mark away by itself and goes on. */
static noinline bool waits_for_userfaultfd(struct vm_area_struct *vma, pte_t pte)
{
#ifdef CONFIG_USERFAULTFD
	struct userfaultfd_ctx *ctx = vma->vm_userfaultfd_ctx.ctx;

	return userfaultfd_pte_wp(vma, pte) &&
	       (!ctx || !(ctx->features & UFFD_FEATURE_WP_ASYNC));
#else
	return false;
#endif
}

/* What is decided before the page is looked at; 0 for a private write to @name's memory. */
static __always_inline unsigned int not_private(const struct vm_fault *vmf, const char *name)
{
	if (is_strange(vmf->vma, name))
		return KX_FAULT_STRANGE;
	if (vmf->vma->vm_flags & (VM_SHARED | VM_MAYSHARE))
		return KX_FAULT_SHARED;
	if (vmf->flags & FAULT_FLAG_UNSHARE)
		return KX_FAULT_UNSHARE;
	return 0;
}

/*
 * Whether this address space alone maps a page of a large folio and nobody else holds it; or would,
 * if the swap cache let go. The kernel has it let go if it can, but whether other address spaces
 * have swap entries for the folio is known to nobody outside of mm/.
 */
static unsigned int sole(const struct folio *folio)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	int mapped = folio_large_mapcount(folio);
	int others = folio_ref_count(folio) - mapped;

	if (mapped <= 1 || test_bit(FOLIO_MM_IDS_SHARED_BITNUM, &folio->_mm_ids))
		return 0;
	if (!folio_test_swapcache(folio))
		return others ? 0 : KX_FAULT_SOLE;
	return others == folio_nr_pages(folio) ? KX_FAULT_SWAP : 0;
#else
	return 0;
#endif
}

/*
 * The commonest case: the current process writes to its own small anonymous page, which others may
 * have, too. What is not that plain is left to kx_write_fault(). Instructions count here.
 */
static __always_inline bool is_plain_copy(const struct vm_fault *vmf, const char *name)
{
	const struct task_struct *leader = current->group_leader;
	const struct vm_area_struct *vma = vmf->vma;
	pteval_t pte = pte_val(vmf->orig_pte);
	const struct page *page;
	unsigned long mapping;

	if (rcu_access_pointer(vma->vm_mm->owner) != leader || !bears(leader, name))
		return false;
	if (vma->vm_flags & VM_UFFD_WP || vmf->flags & FAULT_FLAG_UNSHARE ||
	    (pte & (_PAGE_PRESENT | _PAGE_SPECIAL)) != _PAGE_PRESENT)
		return false;
	/* As pte_page(), which inverts what is not present. */
	page = pfn_to_page((pte & PTE_PFN_MASK) >> PAGE_SHIFT);
	if (PageTail(page))
		return false;
	/* Anonymous pages are in private mappings only. */
	mapping = (unsigned long)((const struct folio *)page)->mapping;
	return (mapping & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_ANON &&
	       !(READ_ONCE(page->flags.f) & (BIT(PG_head) | BIT(PG_anon_exclusive)));
}

/* Of what is_plain_copy(): the program may have got another name since, from another thread. */
static __always_inline bool may_be_plain_copy(unsigned int facts)
{
	return facts == KX_FAULT_ANONYMOUS || facts == KX_FAULT_STRANGE;
}

notrace const struct vm_fault *kx_count_copy(const struct vm_fault *vmf, struct kx_till *till,
					     u64 generation)
{
	if (!is_plain_copy(vmf, till->name))
		return vmf;
	/* Both must mean the same by a copy; debug kernels look each time. */
	VM_WARN_ON_ONCE(!may_be_plain_copy(kx_write_fault(vmf, till->name)));
	return kx_till_count(till, vmf->vma->vm_start, generation) ? NULL : vmf;
}

unsigned int kx_write_fault(const struct vm_fault *vmf, const char *name)
{
	unsigned int facts = not_private(vmf, name);
	pte_t pte = vmf->orig_pte;
	const struct folio *folio;
	struct page *page;

	if (facts)
		return facts;
	if ((vmf->vma->vm_flags & VM_UFFD_WP) && waits_for_userfaultfd(vmf->vma, pte))
		return KX_FAULT_USERFAULTFD;
	facts = remote(vmf->vma);
	if (pte_special(pte))
		return facts | (is_zero_pfn(pte_pfn(pte)) ? KX_FAULT_ZERO : 0);
	page = pte_page(pte);
	folio = page_folio(page);
	if (!folio_test_anon(folio))
		return facts;
	facts |= KX_FAULT_ANONYMOUS;
	if (folio_test_ksm(folio))
		return facts;
	/* Not hugetlb, so that PageAnonExclusive() would look at this page, too. */
	if (test_bit(PG_anon_exclusive, &page->flags.f))
		return facts | KX_FAULT_EXCLUSIVE;
	return facts | (folio_test_large(folio) ? sole(folio) : 0);
}

/* Of a present page, as kx_write_fault() has found it. */
const struct folio *kx_fault_folio(const struct vm_fault *vmf)
{
	return page_folio(pte_page(vmf->orig_pte));
}

unsigned int kx_huge_write_fault(const struct vm_fault *vmf, const char *name)
{
	unsigned int facts = not_private(vmf, name);

	if (facts)
		return facts;
	facts = remote(vmf->vma);
	if (pmd_special(vmf->orig_pmd))
		return facts | KX_FAULT_ZERO;
	/*
	 * The table's lock is not held yet. If the entry has changed, the kernel does nothing, and
	 * nobody keeps the page; as it has not, it keeps the page for as long as this takes without
	 * preemption. No check of what kind of page it is.
	 */
	if (!pmd_same(pmdp_get_lockless(vmf->pmd), vmf->orig_pmd))
		return KX_FAULT_EXCLUSIVE;
	if (test_bit(PG_anon_exclusive, &pmd_page(vmf->orig_pmd)->flags.f))
		facts |= KX_FAULT_EXCLUSIVE;
	return facts;
}

/*
 * Without map_pages() the kernel does nothing under the VMA's lock, and comes again with that of
 * all mappings, but without FAULT_FLAG_TRIED: vmf_can_call_fault().
 */
static bool is_refused(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_VMA_LOCK && !vmf->vma->vm_ops->map_pages;
}

unsigned int kx_first_write(const struct vm_fault *vmf, const char *name)
{
	unsigned int facts = not_private(vmf, name);

	if (facts)
		return facts;
	if (!(vmf->flags & FAULT_FLAG_WRITE))
		return KX_FAULT_UNSHARE;
	if (vmf->flags & FAULT_FLAG_TRIED || is_refused(vmf))
		return KX_FAULT_AGAIN;
	return remote(vmf->vma);
}

unsigned int kx_takeover(const struct folio *folio, const struct vm_area_struct *vma,
			 const char *name)
{
	unsigned int facts = remote(vma);

	if (is_strange(vma, name))
		return KX_FAULT_STRANGE;
	/* Moving pages with userfaultfd: exclusive, or not mapped. */
	if (folio_test_hugetlb(folio) || PageAnonExclusive(&folio->page) || !folio_mapped(folio))
		return KX_FAULT_EXCLUSIVE;
	return facts | (folio_test_large(folio) ? 0 : KX_FAULT_SMALL);
}

/* Of a folio that is locked. */
int kx_folio_is_mapped(const struct folio *folio)
{
	return folio_mapped(folio);
}

/* watch.rs, mmset.rs */

struct mm_struct *kx_task_mm(const struct task_struct *task)
{
	return task->mm;
}

/* The last reference is somebody else's, by the caller's promise: this frees nothing. */
void kx_mmdrop_not_last(struct mm_struct *mm)
{
	atomic_dec(&mm->mm_count);
}
