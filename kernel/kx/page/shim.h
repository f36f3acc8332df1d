/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_PAGE_SHIM_H
#define KX_PAGE_SHIM_H

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
int kx_pte_is_resident(u64 value);
int kx_pmd_is_resident(u64 value);
int kx_pte_is_moving(u64 value);
int kx_pmd_is_moving(u64 value);
u64 kx_pfn_mask(void);

/* table.rs */
#define KX_TABLE_ENTRIES 512

unsigned int kx_paging_levels(void);
int kx_copy_top_table(struct mm_struct *mm, u64 *entries, u64 *user);
void kx_read_path(struct mm_struct *mm, unsigned long addr, u64 *path);

#endif
