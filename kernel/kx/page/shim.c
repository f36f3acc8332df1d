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

int kx_pte_is_moving(u64 value)
{
	return softleaf_is_migration(softleaf_from_pte(__pte(value)));
}

int kx_pmd_is_moving(u64 value)
{
	return softleaf_is_migration(softleaf_from_pmd(__pmd(value)));
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
