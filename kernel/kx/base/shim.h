/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel, given an address so that Rust can
 * call them. No policy here: what a function decides, it decides in Rust.
 */
#ifndef KX_BASE_SHIM_H
#define KX_BASE_SHIM_H

#include <linux/lockdep_types.h>
#include <linux/spinlock_types_raw.h>
#include <linux/types.h>

/* sched.rs */
void kx_cond_resched(void);
int kx_fatal_signal_pending(void);
int kx_signal_pending(void);
int kx_must_freeze(void);

/* log.rs */
int kx_log_ratelimit(void);
const char *kx_module_name(void);

/* in_use.rs */
int kx_module_get(void);
void kx_module_put(void);

/* chunked.rs */
void *kx_page_alloc(void);

/* charged.rs */
gfp_t kx_charged_flags(void);
void *kx_charged_alloc(size_t size);

/* rawlock.rs */
void kx_raw_lock_init(raw_spinlock_t *lock, const char *name,
		      struct lock_class_key *key);
void kx_raw_lock(raw_spinlock_t *lock);
int kx_raw_trylock(raw_spinlock_t *lock);
void kx_raw_unlock(raw_spinlock_t *lock);
void kx_raw_assert_held(raw_spinlock_t *lock);

#endif
