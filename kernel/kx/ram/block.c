// SPDX-License-Identifier: GPL-2.0
#include <linux/list.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>

#include "look.h"

/* ENTIRELY_MAPPED of mm/internal.h: this bit of a folio's count is not a number of frames. */
static const int entirely_mapped = 0x800000;

/* The block of which the frame is a part that has no mark itself, as is_free_buddy_page(). */
bool kx_ram_in_buddy(const struct page *page, unsigned long pfn, u32 *order)
{
	const struct page *head;

	for (*order = 1; *order <= MAX_PAGE_ORDER; ++*order) {
		head = page - (pfn & (BIT(*order) - 1));
		if (READ_ONCE(head->page_type) >> 24 == PGTY_buddy &&
		    READ_ONCE(head->private) >= *order) {
			*order = min(READ_ONCE(head->private), MAX_PAGE_ORDER);
			return true;
		}
	}
	*order = 0;
	return false;
}

/* @link, if it is that of a frame's record. Under RCU it stays that. */
static const struct list_head *of_frame(const struct list_head *link)
{
	const struct page *page = list_entry(link, struct page, lru);
	unsigned long pfn = page_to_pfn(page);

	return pfn_to_online_page(pfn) == page ? link : NULL;
}

/*
 * Whether a frame is linked into a list. If it is not, its words may be anything,
 * so that what they lead to is looked at only if that is a frame, as most
 * neighbours are.
 */
static bool is_linked(const struct page *page)
{
	const struct list_head *own = &page->lru;
	const struct list_head *next = READ_ONCE(own->next), *prev = READ_ONCE(own->prev);

	if (next == own || (unsigned long)next < PAGE_OFFSET)
		return false;
	/* The only one. */
	if (next == prev)
		return true;
	next = of_frame(next);
	if (next)
		return READ_ONCE(next->prev) == own;
	prev = of_frame(prev);
	return prev && READ_ONCE(prev->next) == own;
}

/*
 * Whether an unreferenced frame without a mark is free, in a list of a CPU or on
 * its way: it is in a list, or is one of a block of which the first frame is. The
 * kernel's blocks that are not compound look alike, but that their first frame has
 * a reference. What is in neither is the kernel's.
 */
bool kx_ram_in_list(const struct page *page, unsigned long pfn)
{
	const struct page *head, *last = NULL;
	unsigned int order;

	for (order = 0; order <= MAX_PAGE_ORDER; order++) {
		head = page - (pfn & (BIT(order) - 1));
		if (head == last)
			continue;
		if (page_ref_count(head))
			return false;
		if (!page_has_type(head) && is_linked(head))
			return true;
		last = head;
	}
	return false;
}

/*
 * The order of what @page is a part of and @head the first frame; 0 if they do not
 * agree on that. All that consists of several frames begins where its size says.
 */
unsigned int kx_ram_order(struct page *head, const struct page *page, unsigned long pfn)
{
	unsigned int order = compound_order(head);

	if (!order || order > MAX_FOLIO_ORDER)
		return 0;
	return pfn_to_page(ALIGN_DOWN(pfn, BIT(order))) == head ? order : 0;
}

/*
 * Of a folio of which some frames are mapped and some are not, those from @page on
 * that are alike. The first frame's count is where its type would be.
 */
static unsigned long mapped_alike(const struct page *page, unsigned long frames,
				  struct kx_ram_run *run)
{
	unsigned int mappings = kx_ram_own_mappings(page);
	bool is_mapped = mappings;
	unsigned long i = 0;

	if (is_mapped)
		run->facts |= KX_RAM_MAPPED;
	do {
		run->mappings += mappings;
		if (++i == frames)
			break;
		mappings = kx_ram_own_mappings(page + i);
	} while (is_mapped == !!mappings);
	return i;
}

/* Which of @frames frames from @page on are mapped, as far as it is the same for them. */
unsigned long kx_ram_tell_mappings(const struct folio *folio, const struct page *page,
				   unsigned long frames, unsigned long all,
				   struct kx_ram_run *run)
{
	int total = atomic_read(&folio->_large_mapcount) + 1;
	int entire = atomic_read(&folio->_entire_mapcount) + 1;
	int mapped = atomic_read(&folio->_nr_pages_mapped);

	if (total <= 0)
		return frames;
	if (!(run->facts & KX_RAM_HUGETLB) && mapped < entirely_mapped && mapped < all)
		return mapped_alike(page, frames, run);
	run->facts |= KX_RAM_MAPPED;
	/* Those by small entries are spread evenly if this is not all of it. */
	run->mappings = frames * max(entire, 0) + max(total - entire, 0) * frames / all;
	return frames;
}
