// SPDX-License-Identifier: GPL-2.0
//! Models of what works without a lock, and of an interruptible lock.
//!
//! [loom](https://docs.rs/loom) runs each model again and again: with the tasks' steps in every order,
//! and with every value that a load may see by the rules of C11, which promise less than x86 does. The
//! algorithms are those of `model`, generic over their words; the counting in a fast counter is the kernel's own
//! C (`count.c`). The number of times that a task is interrupted in the middle is bounded, see [`check`].

mod fast_counter;
mod members;
mod rw_lock;
mod word;

/// Tries a model in all orders in which running tasks are interrupted `preemptions` times at most.
/// `LOOM_MAX_PREEMPTIONS` has precedence.
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 100_000;
    builder.check(model);
}
