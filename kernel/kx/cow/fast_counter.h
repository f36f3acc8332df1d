/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a copy is counted in a fast counter: the other side of model::fast_counter, with which this
 * must agree.
 *
 * tests/loom compiles it, too, with words of its own for READ_ONCE(), smp_load_acquire() and
 * try_cmpxchg64_relaxed(), and tries it beside the other side's changes. So each access to what is
 * shared must be one of these, and nothing is included here.
 */
#ifndef KX_COW_FAST_COUNTER_H
#define KX_COW_FAST_COUNTER_H

#define KX_COUNTER_SETS 64
#define KX_COUNTER_WAYS 2

struct kx_area_copies {
	u64 start;
	u64 copies;
};

struct kx_fast_counter {
	char name[16];
	u64 generation;
	u64 unused;
	struct kx_area_copies sets[KX_COUNTER_SETS][KX_COUNTER_WAYS];
};

/* Attempts at an addition that other CPUs' additions foil. */
#define KX_COUNTER_ATTEMPTS 8

/* Counts in @entry, if it is open for this area and generation and nothing comes between. */
static __always_inline bool kx_fast_count_in(struct kx_area_copies *entry, u64 *copies, u64 start,
					     const struct kx_fast_counter *counter, u64 generation)
{
	/* Before the rest: whoever changes that changes @copies, too. */
	*copies = smp_load_acquire(&entry->copies);
	/* Before the generation, after whose store it is opened. */
	return smp_load_acquire(&entry->start) == start &&
	       READ_ONCE(counter->generation) == generation &&
	       try_cmpxchg64_relaxed(&entry->copies, copies, *copies + 1);
}

/* Where the first way is another area's, or somebody else was faster. */
static notrace noinline bool kx_fast_count_slowly(struct kx_area_copies *set, u64 start,
						  const struct kx_fast_counter *counter,
						  u64 generation)
{
	int way, attempt;
	u64 copies;

	for (way = 0; way < KX_COUNTER_WAYS; way++) {
		if (READ_ONCE(set[way].start) != start)
			continue;
		for (attempt = 0; attempt < KX_COUNTER_ATTEMPTS; attempt++)
			if (kx_fast_count_in(&set[way], &copies, start, counter, generation))
				return true;
	}
	return false;
}

/* Whether @counter was open for the area that begins at @start, and counted. */
static __always_inline bool kx_fast_count(struct kx_fast_counter *counter, u64 start,
					  u64 generation)
{
	struct kx_area_copies *set;
	u64 copies;

	/* As model::fast_counter has it. Memory allocators love powers of two. */
	set = counter->sets[(u32)(start >> PAGE_SHIFT) * 0x61C88647u >> 26];
	OPTIMIZER_HIDE_VAR(set);
	if (likely(kx_fast_count_in(set, &copies, start, counter, generation)))
		return true;
	return kx_fast_count_slowly(set, start, counter, generation);
}

#endif
