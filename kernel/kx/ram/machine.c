// SPDX-License-Identifier: GPL-2.0
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>

#include "shim.h"

/* The first frame at @pfn or behind it of a section of which there is memory. */
unsigned long kx_ram_next(unsigned long pfn)
{
	unsigned long nr = pfn_to_section_nr(pfn);

	if (pfn_in_present_section(pfn))
		return pfn;
	for (nr++; nr < NR_MEM_SECTIONS; nr++) {
		struct mem_section *section = __nr_to_section(nr);

		if (present_section(section))
			return section_nr_to_pfn(nr);
		/* Where one has no record, its neighbours have none. */
		if (!section)
			nr |= SECTION_ROOT_MASK;
	}
	return ULONG_MAX;
}

static u64 counter(const struct pglist_data *node, enum node_stat_item item)
{
	return max(atomic_long_read(&node->vm_stat[item]), 0L);
}

/* The counters of the first node from @from on; returns which, or -1 if there is none. */
int kx_ram_node(int from, struct kx_ram_node *counters)
{
	const struct pglist_data *node;
	int number = from;

	while (number < MAX_NUMNODES && !node_online(number))
		number++;
	if (number >= MAX_NUMNODES)
		return -1;
	node = NODE_DATA(number);
	*counters = (struct kx_ram_node) {
		.present = (u64)READ_ONCE(node->node_present_pages) * PAGE_SIZE,
		.vmalloc = counter(node, NR_VMALLOC) * PAGE_SIZE,
		.kernel_stacks = counter(node, NR_KERNEL_STACK_KB) * SZ_1K,
		.page_tables = counter(node, NR_PAGETABLE) * PAGE_SIZE,
		.secondary_page_tables = counter(node, NR_SECONDARY_PAGETABLE) * PAGE_SIZE,
	};
	return number;
}
