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

/*
 * What the facts are made of, in one word, so that neighbours can be compared before it is told
 * what it means: flags of the folio, and in place of two others those of its mapping.
 */
#ifdef CONFIG_PAGE_IDLE_FLAG
#define RAW_USED (BIT(PG_referenced) | BIT(PG_young))
#else
#define RAW_USED BIT(PG_referenced)
#endif
#define RAW_FLAGS (BIT(PG_swapbacked) | BIT(PG_dirty) | RAW_USED | BIT(PG_head))
#define RAW_KNOWN BIT(BITS_PER_LONG - 1)

static_assert(!(FOLIO_MAPPING_FLAGS & RAW_FLAGS) && !(RAW_KNOWN & RAW_FLAGS));

static __always_inline unsigned long raw_facts(const struct folio *folio)
{
	unsigned long mapping = (unsigned long)READ_ONCE(folio->mapping);

	return (READ_ONCE(folio->flags.f) & RAW_FLAGS) | (mapping & FOLIO_MAPPING_FLAGS) |
	       RAW_KNOWN;
}

static u64 told(unsigned long raw)
{
	u64 facts = 0;

	if (raw & RAW_KNOWN)
		facts |= KX_FACT_KNOWN;
	if (raw & FOLIO_MAPPING_ANON)
		facts |= KX_FACT_ANONYMOUS;
	if ((raw & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_KSM)
		facts |= KX_FACT_KSM;
	if (raw & BIT(PG_swapbacked))
		facts |= KX_FACT_SWAP_BACKED;
	if (raw & BIT(PG_dirty))
		facts |= KX_FACT_DIRTY;
	if (raw & RAW_USED)
		facts |= KX_FACT_REFERENCED;
	if (raw & BIT(PG_head))
		facts |= KX_FACT_LARGE;
	return facts;
}

static u64 flag_facts(const struct folio *folio)
{
	return told(raw_facts(folio));
}

/*
 * How many entries map @page, for one that is mapped. Who holds the only
 * reference to its folio is the only one, whatever the counts say meanwhile.
 */
static __always_inline unsigned int map_count(const struct page *page, const struct folio *folio)
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

/* Of the frame of a present entry: 0 if there is none. */
struct frame {
	unsigned long raw;
	unsigned int mapcount;
};

/* @known is a frame of a stretch of which it is known that all have a struct page. */
static __always_inline struct frame frame_of(pte_t pte, unsigned long *known)
{
	unsigned long pfn = pte_pfn(pte);
	const struct folio *folio;
	const struct page *page;

	if (pte_special(pte))
		return (struct frame) {};
	if ((pfn ^ *known) & PAGE_SUBSECTION_MASK) {
		/* Nothing but a corrupt entry has another. */
		if (unlikely(!pfn_valid(pfn)))
			return (struct frame) {};
		*known = pfn;
	}
	page = pfn_to_page(pfn);
	folio = page_folio(page);
	return (struct frame) { raw_facts(folio), map_count(page, folio) };
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
 * The entry of @addr in the table to which @seen points, or NULL if that is not the table of this
 * address any more; otherwise locked, to be unlocked by unlock_table().
 *
 * RCU keeps the table's page from being freed by those who do so with the mmap
 * lock held for read; its lock and the second look make sure that it is still
 * the table of this address. What it maps stays mapped under that lock, and so
 * are its frames what the facts say.
 */
static pte_t *lock_table(struct mm_struct *mm, unsigned long addr, u64 seen, spinlock_t **lock)
{
	pmd_t *pmdp, pmd = __pmd(seen);
	unsigned long next;
	bool corrupt;
	pud_t pud;

	pmdp = find_pmd(mm, addr, addr + PAGE_SIZE, &next, &pud, &corrupt);
	if (unlikely(!pmdp))
		return NULL;
	rcu_read_lock();
	if (unlikely(!pmd_same(pmd, pmdp_get_lockless(pmdp))))
		goto gone;
	*lock = pte_lockptr(mm, &pmd);
	spin_lock(*lock);
	if (likely(pmd_same(pmd, pmdp_get_lockless(pmdp))))
		return pte_offset_kernel(&pmd, addr);
	spin_unlock(*lock);
gone:
	rcu_read_unlock();
	return NULL;
}

static void unlock_table(spinlock_t *lock)
{
	spin_unlock(lock);
	rcu_read_unlock();
}

int kx_copy_table(struct mm_struct *mm, unsigned long addr, u64 seen,
		  u64 *entries, unsigned int count)
{
	spinlock_t *lock;
	unsigned int i;
	pte_t *pte;

	pte = lock_table(mm, addr, seen, &lock);
	if (unlikely(!pte))
		return 0;
	for (i = 0; i < count; i++)
		entries[i] = pte_val(ptep_get(pte + i));
	unlock_table(lock);
	return 1;
}

static u64 run_facts(pte_t pte, struct frame frame)
{
	if (!pte_present(pte))
		return leaf_facts(softleaf_from_pte(pte));
	return told(frame.raw) | frame.mapcount;
}

/* Compiled for each @frames: what is not looked at must not cost anything for each entry. */
static __always_inline unsigned int count_runs(const pte_t *pte, const pte_t *end, u64 *entries,
					       u64 *facts, bool frames)
{
	/* Read once: the machine's own. Not pte_val(), with which Xen translates the frame. */
	const pteval_t same = ~(pteval_t)PTE_PFN_MASK;
	struct frame frame = {}, last_frame = {};
	unsigned long known = ~0UL;
	unsigned int runs = 0;
	u64 pages = 0;
	pte_t now, last = {};

	for (; pte < end; pte++) {
		now = ptep_get((pte_t *)pte);
		if (pte_none(now))
			continue;
		if (frames && likely(pte_present(now)))
			frame = frame_of(now, &known);
		if (likely(!((now.pte ^ last.pte) & same) && frame.raw == last_frame.raw &&
			   frame.mapcount == last_frame.mapcount && pte_present(last))) {
			pages++;
			continue;
		}
		if (runs)
			facts[runs - 1] |= pages << KX_FACT_PAGES;
		pages = 1;
		last = now;
		last_frame = frame;
		entries[runs] = pte_val(now);
		facts[runs++] = frames ? run_facts(now, frame) : 0;
	}
	if (runs)
		facts[runs - 1] |= pages << KX_FACT_PAGES;
	return runs;
}

/*
 * Tells entries that are alike as one: @entries has the first of each run, @facts what is known of
 * all their frames (nothing, unless @frames) and from KX_FACT_PAGES on how many they are. Empty
 * entries are passed over. Takes and returns in @count how many there are.
 */
int kx_count_table(struct mm_struct *mm, unsigned long addr, u64 seen,
		   u64 *entries, u64 *facts, unsigned int *count, int frames)
{
	spinlock_t *lock;
	pte_t *pte;

	pte = lock_table(mm, addr, seen, &lock);
	if (unlikely(!pte))
		return 0;
	if (frames)
		*count = count_runs(pte, pte + *count, entries, facts, true);
	else
		*count = count_runs(pte, pte + *count, entries, facts, false);
	unlock_table(lock);
	return 1;
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
