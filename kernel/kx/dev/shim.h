/* SPDX-License-Identifier: GPL-2.0 */
/* As ../base/shim.h. */
#ifndef KX_DEV_SHIM_H
#define KX_DEV_SHIM_H

#include <linux/types.h>

struct cdev;
struct cred;
struct file;
struct inode;
struct iov_iter;
struct kiocb;
struct vfsmount;
struct vm_area_struct;

struct vfsmount *kx_shmem_mount(void);
struct vfsmount *kx_devtmpfs_mount(void);
int kx_may_write_node(struct vfsmount *mnt, const char *name, dev_t number);

struct file *kx_shmem_file(struct vfsmount *mnt, const char *name, loff_t size, int may_swap);
struct file *kx_shmem_shown(struct file *file);
void kx_shmem_may_fail(struct file *file, int may_fail);
int kx_shmem_clear(struct file *file, loff_t pos, loff_t end, loff_t *next);
int kx_shmem_truncate(struct file *file, loff_t size);
int kx_shmem_map(struct file *shown, struct vm_area_struct *vma);
void kx_shmem_forget_policy(struct file *shown, u64 pages);
unsigned long kx_get_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
				   unsigned long pgoff, unsigned long flags);
unsigned long kx_mapped_end(struct file *file);
int kx_each_mapping(struct file *file, void (*each)(void *, int), void *context);

void kx_pagefault_disable(void);
void kx_pagefault_enable(void);
size_t kx_iov_len(const struct iov_iter *iter);
size_t kx_iov_cut(struct iov_iter *iter, size_t most);
void kx_iov_extend(struct iov_iter *iter, size_t by);

struct cdev *kx_inode_cdev(struct inode *inode);
int kx_in_compat_syscall(void);
int kx_is_append(const struct kiocb *kiocb);
int kx_must_not_wait(const struct kiocb *kiocb);

const struct cred *kx_override_creds(const struct cred *cred);
void kx_revert_creds(const struct cred *cred);

#endif
