// SPDX-License-Identifier: GPL-2.0
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "shim.h"

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

/* Memory that went offline was emptied before: what a process had there has moved. */
static unsigned int not_online(unsigned long pfn)
{
	struct dev_pagemap *device = get_dev_pagemap(pfn);

	if (!device)
		return KX_LOST;
	put_dev_pagemap(device);
	return KX_CLOSED;
}

/*
 * The section of the struct page stays from here to frame_get()'s return, see
 * kx_memory_watch(); after that, the reference keeps the frame from going offline.
 */
unsigned int kx_frame_get(unsigned long pfn, const void **frame)
{
	struct page *page;
	unsigned int found;

	rcu_read_lock();
	page = pfn_to_online_page(pfn);
	found = likely(page) ? frame_get(page) : not_online(pfn);
	rcu_read_unlock();
	if (likely(found == KX_FOUND))
		*frame = page_address(page);
	return found;
}

void kx_frame_put(const void *frame)
{
	folio_put(virt_to_folio(frame));
}

/*
 * Memory is marked offline first, then this is called, and only after that its
 * struct pages may be taken away. Who found them online is done when this returns.
 */
static int memory_changes(struct notifier_block *watch, unsigned long change, void *range)
{
	if (change == MEM_OFFLINE)
		synchronize_rcu();
	return NOTIFY_OK;
}

struct notifier_block *kx_memory_watch(void)
{
	struct notifier_block *watch = kzalloc(sizeof(*watch), GFP_KERNEL | __GFP_NOWARN);

	if (!watch)
		return NULL;
	watch->notifier_call = memory_changes;
	if (register_memory_notifier(watch)) {
		kfree(watch);
		return NULL;
	}
	return watch;
}

void kx_memory_unwatch(struct notifier_block *watch)
{
	unregister_memory_notifier(watch);
	kfree(watch);
}
