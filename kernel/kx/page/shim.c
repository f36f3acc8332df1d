// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <asm/cpufeature.h>
/* Does not include all that it needs. */
#include <linux/leafops.h>

#include "shim.h"

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

/* entry.rs: what is known of the frame behind an entry, whose lock is held. */

static_assert(IS_ENABLED(CONFIG_PAGE_MAPCOUNT));

static u64 flag_facts(const struct folio *folio)
{
	u64 facts = KX_FACT_KNOWN;

	if (folio_test_anon(folio))
		facts |= KX_FACT_ANONYMOUS;
	if (folio_test_swapbacked(folio))
		facts |= KX_FACT_SWAP_BACKED;
	if (folio_test_ksm(folio))
		facts |= KX_FACT_KSM;
	if (folio_test_dirty(folio))
		facts |= KX_FACT_DIRTY;
	if (folio_test_referenced(folio) || folio_test_young(folio))
		facts |= KX_FACT_REFERENCED;
	if (folio_test_large(folio))
		facts |= KX_FACT_LARGE;
	return facts;
}

/*
 * How many entries map @page, for one that is mapped. Who holds the only
 * reference to its folio is the only one, whatever the counts say meanwhile.
 */
static unsigned int map_count(const struct page *page, const struct folio *folio)
{
	int count;

	if (folio_ref_count(folio) == 1)
		return 1;
	count = atomic_read(&page->_mapcount) + 1;
	if (page_mapcount_is_type(count))
		count = 0;
	if (folio_test_large(folio))
		count += folio_entire_mapcount(folio);
	return max(count, 0);
}

/* The frame of an entry that is not present: where it is cannot be told until it has arrived. */
static u64 leaf_facts(softleaf_t leaf)
{
	struct folio *folio;

	if (softleaf_is_hwpoison(leaf) || !softleaf_has_pfn(leaf))
		return 0;
	folio = page_folio(softleaf_to_page(leaf));
	if (softleaf_is_device_private(leaf))
		return flag_facts(folio) | map_count(softleaf_to_page(leaf), folio);
	return flag_facts(folio) | KX_FACT_UNSETTLED;
}

static u64 pte_facts(pte_t pte)
{
	struct page *page;

	if (pte_none(pte) || (pte_present(pte) && pte_special(pte)))
		return 0;
	if (!pte_present(pte))
		return leaf_facts(softleaf_from_pte(pte));
	/* Nothing but a corrupt entry has another. */
	if (unlikely(!pfn_valid(pte_pfn(pte))))
		return 0;
	page = pte_page(pte);
	return flag_facts(page_folio(page)) | map_count(page, page_folio(page));
}

/* Returns for how many pages the facts are: all of them, or one if all have the same. */
static unsigned int pmd_facts(pmd_t pmd, u64 *facts)
{
	struct folio *folio;
	struct page *page;
	unsigned int i;

	*facts = 0;
	if (pmd_none(pmd) || (pmd_present(pmd) && pmd_special(pmd)))
		return 1;
	if (!pmd_present(pmd)) {
		*facts = leaf_facts(softleaf_from_pmd(pmd));
		return 1;
	}
	if (unlikely(!pfn_valid(pmd_pfn(pmd))))
		return 1;
	page = pmd_page(pmd);
	folio = page_folio(page);
	*facts = flag_facts(folio) | map_count(page, folio);
	if (folio_ref_count(folio) == 1 ||
	    folio_large_mapcount(folio) == folio_entire_mapcount(folio))
		return 1;
	for (i = 1; i < HPAGE_PMD_NR; i++)
		facts[i] = flag_facts(folio) | map_count(page + i, folio);
	return HPAGE_PMD_NR;
}

/* walk.rs */

/*
 * RCU keeps the table's page from being freed by those who do so with the mmap
 * lock held for read; its lock and the second look make sure that it is still
 * the table of this address. What it maps stays mapped under that lock, and so
 * are its frames what the facts say.
 */
int kx_copy_table(struct mm_struct *mm, unsigned long addr, u64 seen,
		  u64 *entries, u64 *facts, unsigned int count)
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
	for (i = 0; same && i < count; i++)
		entries[i] = pte_val(ptep_get(pte + i));
	for (i = 0; same && facts && i < count; i++)
		facts[i] = pte_facts(__pte(entries[i]));
	spin_unlock(lock);
	rcu_read_unlock();
	return same;
}

/*
 * Facts of the pages behind the leaf @seen, if it is still there; room for HPAGE_PMD_NR
 * of them is wanted.
 */
int kx_pmd_facts(struct mm_struct *mm, unsigned long addr, u64 seen, u64 *facts,
		 unsigned int *count)
{
	unsigned long next;
	spinlock_t *lock;
	bool corrupt;
	pmd_t *pmdp;
	pud_t pud;
	int same;

	pmdp = find_pmd(mm, addr, addr + PAGE_SIZE, &next, &pud, &corrupt);
	if (unlikely(!pmdp))
		return 0;
	lock = pmd_lock(mm, pmdp);
	same = pmd_same(__pmd(seen), pmdp_get_lockless(pmdp));
	if (same)
		*count = pmd_facts(__pmd(seen), facts);
	spin_unlock(lock);
	return same;
}

/* entry.rs */

static unsigned int absent(softleaf_t leaf)
{
	if (softleaf_is_swap(leaf))
		return KX_SWAPPED;
	if (softleaf_is_migration(leaf))
		return KX_MOVING;
	if (softleaf_is_device_private(leaf) || softleaf_is_device_exclusive(leaf))
		return KX_IN_DEVICE;
	return KX_NOTHING;
}

unsigned int kx_pte_absent(u64 value)
{
	return absent(softleaf_from_pte(__pte(value)));
}

unsigned int kx_pmd_absent(u64 value)
{
	return absent(softleaf_from_pmd(__pmd(value)));
}

u64 kx_pfn_mask(void)
{
	return PTE_PFN_MASK;
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
void kx_read_path(struct mm_struct *mm, unsigned long addr, u64 *path)
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
