/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of this room share. */
#ifndef KX_RAM_LOOK_H
#define KX_RAM_LOOK_H

#include <linux/minmax.h>
#include <linux/mm_types.h>

#include "shim.h"

struct address_space;
struct inode;

/* record.c */
unsigned int kx_ram_zone(unsigned long flags);
u64 kx_ram_type(unsigned int type);
u64 kx_ram_flags(unsigned long flags);
u64 kx_ram_is_mapping(unsigned long mapping);

/* file.c: under RCU. */
struct address_space *kx_ram_mapping(struct folio *folio);
void kx_ram_identify(const struct inode *inode, struct kx_ram_run *run);

/* block.c */
bool kx_ram_in_buddy(const struct page *page, unsigned long pfn, u32 *order);
bool kx_ram_in_list(const struct page *page, unsigned long pfn);
unsigned int kx_ram_order(struct page *head, const struct page *page, unsigned long pfn);
unsigned long kx_ram_tell_mappings(const struct folio *folio, const struct page *page,
				   unsigned long frames, unsigned long all,
				   struct kx_ram_run *run);

/* How many entries map a frame by itself; there may be a type in that place. */
static inline unsigned int kx_ram_own_mappings(const struct page *page)
{
	return max(atomic_read(&page->_mapcount) + 1, 0);
}

#endif
