// SPDX-License-Identifier: GPL-2.0
/* What fast_counter.h has from the kernel, in words that main.rs offers. */

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define notrace
#define likely(condition) (condition)
#define PAGE_SHIFT 12
#define OPTIMIZER_HIDE_VAR(variable) ((void)(variable))

/* A word is eight bytes here, too, but only these know what is in them. */
u64 word_peek(const u64 *word);
u64 word_load(const u64 *word);
bool word_replace(u64 *word, u64 *old, u64 new);

#define READ_ONCE(word) word_peek(&(word))
#define smp_load_acquire(word) word_load(word)
#define try_cmpxchg64_relaxed(word, old, new) word_replace(word, old, new)

#include "fast_counter.h"

bool fast_count(struct kx_fast_counter *counter, u64 start, u64 generation);

bool fast_count(struct kx_fast_counter *counter, u64 start, u64 generation)
{
	return kx_fast_count(counter, start, generation);
}
