/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_PROC_SHIM_H
#define KX_PROC_SHIM_H

struct inode;

/* procfile.rs */
void *kx_pde_data(const struct inode *inode);

#endif
