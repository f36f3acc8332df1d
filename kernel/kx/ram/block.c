// SPDX-License-Identifier: GPL-2.0
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/uaccess.h>

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

static bool is_linked(const struct page *page)
{
	const struct list_head *own = &page->lru, *next = READ_ONCE(own->next), *back = NULL;

	/* If it is in no list, it is alone in one, or the word may be anything. */
	return next != own &&
	       !copy_from_kernel_nofault(&back, &next->prev, sizeof(back)) && back == own;
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
	unsigned long flags = READ_ONCE(head->flags.f);
	unsigned int order;

	if (!(flags & BIT(PG_head)))
		return 0;
	order = compound_order(head);
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
	bool is_mapped = kx_ram_own_mappings(page);
	unsigned long i;

	for (i = 0; i < frames; i++) {
		if (is_mapped != !!kx_ram_own_mappings(page + i))
			break;
		run->mappings += kx_ram_own_mappings(page + i);
	}
	if (is_mapped)
		run->facts |= KX_RAM_MAPPED;
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
