/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a copy is counted in a till: the other side of model::till, with which this must agree.
 *
 * tests/loom compiles it, too, with words of its own for READ_ONCE(), smp_load_acquire() and
 * try_cmpxchg64_relaxed(), and tries it beside the other side's changes. So each access to what is
 * shared must be one of these, and nothing is included here.
 */
#ifndef KX_COW_TILL_H
#define KX_COW_TILL_H

#define KX_TILL_SETS 64
#define KX_TILL_WAYS 2

struct kx_till_entry {
	u64 start;
	u64 copies;
};

struct kx_till {
	char name[16];
	u64 generation;
	u64 unused;
	struct kx_till_entry sets[KX_TILL_SETS][KX_TILL_WAYS];
};

/* Attempts at an addition that other CPUs' additions foil. */
#define KX_TILL_ATTEMPTS 8

/* Counts in @entry, if it is open for this area and generation and nothing comes between. */
static __always_inline bool kx_till_count_in(struct kx_till_entry *entry, u64 *copies, u64 start,
					     const struct kx_till *till, u64 generation)
{
	/* Before the rest: whoever changes that changes @copies, too. */
	*copies = smp_load_acquire(&entry->copies);
	/* Before the generation, after whose store it is opened. */
	return smp_load_acquire(&entry->start) == start &&
	       READ_ONCE(till->generation) == generation &&
	       try_cmpxchg64_relaxed(&entry->copies, copies, *copies + 1);
}

/* Where the first way is another area's, or somebody else was faster. */
static notrace noinline bool kx_till_count_slowly(struct kx_till_entry *set, u64 start,
						  const struct kx_till *till, u64 generation)
{
	int way, attempt;
	u64 copies;

	for (way = 0; way < KX_TILL_WAYS; way++) {
		if (READ_ONCE(set[way].start) != start)
			continue;
		for (attempt = 0; attempt < KX_TILL_ATTEMPTS; attempt++)
			if (kx_till_count_in(&set[way], &copies, start, till, generation))
				return true;
	}
	return false;
}

/* Whether @till was open for the area that begins at @start, and counted. */
static __always_inline bool kx_till_count(struct kx_till *till, u64 start, u64 generation)
{
	struct kx_till_entry *set;
	u64 copies;

	/* As model::till has it. Memory allocators love powers of two. */
	set = till->sets[(u32)(start >> PAGE_SHIFT) * 0x61C88647u >> 26];
	OPTIMIZER_HIDE_VAR(set);
	if (likely(kx_till_count_in(set, &copies, start, till, generation)))
		return true;
	return kx_till_count_slowly(set, start, till, generation);
}

#endif
