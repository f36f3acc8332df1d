/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_PAGE_SHIM_H
#define KX_PAGE_SHIM_H

#include <linux/bits.h>
#include <linux/types.h>

struct mm_struct;

/* walk.rs */
enum kx_slot {
	KX_HOLE,	/* nothing is mapped up to *next */
	KX_TABLE,	/* a page table, at *pmd */
	KX_PMD,		/* leaves of 2 MiB, or non-present entries of that size */
	KX_PUD,		/* a leaf of 1 GiB */
	KX_CORRUPT,	/* a table that is none, up to *next */
};

/* Room for 512 values is wanted. */
unsigned int kx_find_slot(struct mm_struct *mm, unsigned long addr, unsigned long end,
			  unsigned long *next, u64 *values, unsigned int *count);
int kx_copy_table(struct mm_struct *mm, unsigned long addr, u64 pmd,
		  u64 *entries, unsigned int count);
int kx_count_table(struct mm_struct *mm, unsigned long addr, u64 pmd,
		   u64 *entries, u64 *facts, unsigned int *count, int frames);
int kx_pmd_facts(struct mm_struct *mm, unsigned long addr, u64 pmd, u64 *facts,
		 unsigned int *count);

/* entry.rs */
enum kx_absent {
	KX_SWAPPED,	/* memory in swap */
	KX_MOVING,	/* a page on its way to another frame */
	KX_IN_DEVICE,	/* a page in a device, or lent to one */
	KX_NOTHING,	/* a marker, or a poisoned page */
};

unsigned int kx_pte_absent(u64 value);
unsigned int kx_pmd_absent(u64 value);
u64 kx_pfn_mask(void);

/* The bits of model::snapshot::Facts, above a map count of 32 bits. */
#define KX_FACT_KNOWN		BIT_ULL(32)
#define KX_FACT_ANONYMOUS	BIT_ULL(33)
#define KX_FACT_SWAP_BACKED	BIT_ULL(34)
#define KX_FACT_KSM		BIT_ULL(35)
#define KX_FACT_DIRTY		BIT_ULL(36)
#define KX_FACT_REFERENCED	BIT_ULL(37)
#define KX_FACT_LARGE		BIT_ULL(38)
#define KX_FACT_UNSETTLED	BIT_ULL(39)
/* Where the number of pages begins for which they are. */
#define KX_FACT_PAGES		48

/* table.rs */
#define KX_TABLE_ENTRIES 512

unsigned int kx_paging_levels(void);
int kx_copy_top_table(struct mm_struct *mm, u64 *entries, u64 *user);
void kx_read_path(struct mm_struct *mm, unsigned long addr, u64 *path);

#endif
