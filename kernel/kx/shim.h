/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel, given an address so that Rust can
 * call them. No policy here: what a function decides, it decides in Rust.
 */
#ifndef KX_SHIM_H
#define KX_SHIM_H

void kx_cond_resched(void);
int kx_fatal_signal_pending(void);

#endif
