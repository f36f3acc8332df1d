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
 * Reading the mapping without its lock is sound under RCU as long as it is the
 * folio's after the reference was taken: inodes and superblocks are freed by RCU.
 */
static unsigned int mapping_facts(struct folio *folio)
{
	struct address_space *mapping = READ_ONCE(folio->mapping);
	unsigned int facts = KX_FRAME_FILE;

	if (!mapping || (unsigned long)mapping & FOLIO_MAPPING_FLAGS || !mapping->host)
		return 0;
	if (mapping_inaccessible(mapping))
		facts |= KX_FRAME_INACCESSIBLE;
	if (mapping->host->i_sb->s_magic == SECRETMEM_MAGIC)
		facts |= KX_FRAME_SECRET;
	return facts;
}

static unsigned int held_facts(struct folio *folio, struct page *page)
{
	unsigned int facts = KX_FRAME_HELD;

	if (unlikely(PageHWPoison(page)))
		facts |= KX_FRAME_POISONED;
	if (unlikely(folio_is_zone_device(folio)))
		facts |= KX_FRAME_DEVICE;
	if (likely(folio_test_anon(folio)))
		return facts | KX_FRAME_ANONYMOUS;
	return facts | mapping_facts(folio);
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
		return 0;
	if (likely(page_folio(page) == folio && folio_mapped(folio)))
		return held_facts(folio, page);
	folio_put(folio);
	return 0;
}

/* Memory that went offline was emptied before: what a process had there has moved. */
static unsigned int not_online(unsigned long pfn)
{
	struct dev_pagemap *device = get_dev_pagemap(pfn);

	if (!device)
		return 0;
	put_dev_pagemap(device);
	return KX_FRAME_DEVICE;
}

/*
 * The section of the struct page stays from here to frame_get()'s return, see
 * kx_memory_watch(); after that, the reference keeps the frame from going offline.
 */
unsigned int kx_frame_get(unsigned long pfn, const void **frame)
{
	struct page *page;
	unsigned int facts;

	rcu_read_lock();
	page = pfn_to_online_page(pfn);
	facts = likely(page) ? frame_get(page) : not_online(pfn);
	rcu_read_unlock();
	if (likely(facts & KX_FRAME_HELD))
		*frame = page_address(page);
	return facts;
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
