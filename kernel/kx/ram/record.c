// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>

#include "look.h"

/* What the words of a record say, by themselves. */

unsigned int kx_ram_zone(unsigned long flags)
{
	switch ((flags >> ZONES_PGSHIFT) & ZONES_MASK) {
#ifdef CONFIG_ZONE_DMA
	case ZONE_DMA:
		return KX_RAM_ZONE_DMA;
#endif
#ifdef CONFIG_ZONE_DMA32
	case ZONE_DMA32:
		return KX_RAM_ZONE_DMA32;
#endif
	case ZONE_NORMAL:
		return KX_RAM_ZONE_NORMAL;
	case ZONE_MOVABLE:
		return KX_RAM_ZONE_MOVABLE;
	default:
		return KX_RAM_ZONE_NONE;
	}
}

u64 kx_ram_type(unsigned int type)
{
	switch (type >> 24) {
	case PGTY_buddy:
		return KX_RAM_BUDDY;
	case PGTY_offline:
		return KX_RAM_GIVEN_AWAY;
	case PGTY_table:
		return KX_RAM_TABLE;
	case PGTY_hugetlb:
		return KX_RAM_HUGETLB;
	case PGTY_slab:
		return KX_RAM_SLAB;
	case PGTY_zsmalloc:
		return KX_RAM_ZSMALLOC;
	case PGTY_unaccepted:
		return KX_RAM_UNACCEPTED;
	case PGTY_large_kmalloc:
		return KX_RAM_KMALLOC;
	default:
		return 0;
	}
}

/* Of memory of programs, and of the kernel's that has no type. */
u64 kx_ram_flags(unsigned long flags)
{
	u64 facts = 0;

	if (flags & BIT(PG_lru))
		facts |= KX_RAM_LRU;
	if (flags & BIT(PG_dirty))
		facts |= KX_RAM_DIRTY;
	if (flags & BIT(PG_writeback))
		facts |= KX_RAM_WRITEBACK;
	if (flags & BIT(PG_unevictable))
		facts |= KX_RAM_UNEVICTABLE;
	if (flags & BIT(PG_swapbacked)) {
		facts |= KX_RAM_SWAP_BACKED;
		if (IS_ENABLED(CONFIG_SWAP) && flags & BIT(PG_swapcache))
			facts |= KX_RAM_SWAP_CACHE;
	}
	return facts;
}

u64 kx_ram_is_mapping(unsigned long mapping)
{
	if ((mapping & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_KSM)
		return KX_RAM_ANONYMOUS | KX_RAM_KSM;
	if (mapping & FOLIO_MAPPING_ANON)
		return KX_RAM_ANONYMOUS;
	return mapping ? KX_RAM_MAPPING : 0;
}
