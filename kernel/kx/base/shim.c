// SPDX-License-Identifier: GPL-2.0
#include <linux/freezer.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "shim.h"

/* sched.rs */

/*
 * For RCU-tasks too, on whose grace periods everybody waits who takes a probe
 * away: where the kernel preempts lazily, cond_resched() does nothing, and being
 * preempted is no quiescent state there.
 */
void kx_cond_resched(void)
{
	cond_resched_tasks_rcu_qs();
}

int kx_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

int kx_signal_pending(void)
{
	return signal_pending(current);
}

/*
 * The second freezer is that of cgroups. Whoever asks for freezing wakes the task
 * like a signal after having said so: before that, a call could not be restarted.
 */
int kx_must_freeze(void)
{
	return signal_pending(current) &&
	       (freezing(current) || READ_ONCE(current->jobctl) & JOBCTL_TRAP_FREEZE);
}

/* log.rs: the state is the module's own, as this file is compiled into each. */

int kx_log_ratelimit(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}

/*
 * chunked.rs, charged.rs: the caller's cgroup pays, and the allocation fails
 * rather than letting an OOM killer find the memory.
 */

#define CHARGED (GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

gfp_t kx_charged_flags(void)
{
	return CHARGED;
}

void *kx_page_alloc(void)
{
	return (void *)__get_free_page(CHARGED);
}

void *kx_charged_alloc(size_t size)
{
	return kvzalloc(size, CHARGED);
}

/* in_use.rs: THIS_MODULE is the module itself, as this file is compiled into each. */

/* Until a module's init has succeeded, nobody asks for its references when it fails. */
int kx_module_get(void)
{
	return READ_ONCE(THIS_MODULE->state) == MODULE_STATE_LIVE && try_module_get(THIS_MODULE);
}

void kx_module_put(void)
{
	module_put(THIS_MODULE);
}

const char *kx_module_name(void)
{
	return THIS_MODULE->name;
}

/* rawlock.rs */

void kx_raw_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

void kx_raw_lock(raw_spinlock_t *lock)
{
	raw_spin_lock(lock);
}

int kx_raw_trylock(raw_spinlock_t *lock)
{
	return raw_spin_trylock(lock);
}

void kx_raw_unlock(raw_spinlock_t *lock)
{
	raw_spin_unlock(lock);
}

void kx_raw_assert_held(raw_spinlock_t *lock)
{
	lockdep_assert_held(lock);
}
