// SPDX-License-Identifier: MIT OR Apache-2.0
// A C program's view of the header: the document's program, which prints to `to`.
#define _GNU_SOURCE
#include "pf_stat.h"

#include <stdio.h>
#include <string.h>

long pf_set_param_through_header(const char *name)
{
	return pf_set_param(name, strlen(name));
}

long pf_cleanup_through_header(void)
{
	return pf_cleanup();
}

/* What `test -o get_info -p NAME` prints, or -1. */
long pf_print_through_header(const char *name, char *to, size_t room)
{
	struct pf_stat pf;
	FILE *out;
	int i;

	if (pf_get_info(name, strlen(name), &pf))
		return -1;
	out = fmemopen(to, room, "w");
	if (!out)
		return -1;
	fprintf(out, "Number of VMA      : %d\n", pf.nb_vma);
	fprintf(out, "Number of COW faults: %ld\n", pf.cow_page_faults);
	fprintf(out, "All VMA:\n");
	for (i = 0; i < pf.nb_vma; i++) {
		unsigned long start = pf.vma_list_start[i];
		unsigned long end = pf.vma_list_end[i];

		fprintf(out, "[%2d]: 0x%lx - 0x%lx (size: 0x%lx): %ld cow faults\n",
			i, start, end, end - start, pf.vma_fault[i]);
	}
	return fclose(out);
}
