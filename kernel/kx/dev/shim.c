// SPDX-License-Identifier: GPL-2.0
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/threads.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "shim.h"

/* A kernel for PREEMPT_RT has no huge pages, and tmpfs no such option. */
static const char *huge(void)
{
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && has_transparent_hugepage())
		return "within_size";
	return NULL;
}

static int set_options(struct fs_context *fc)
{
	return vfs_parse_fs_string(fc, "source", "tmpfs") ?:
	       (huge() ? vfs_parse_fs_string(fc, "huge", huge()) : 0) ?:
	       vfs_parse_fs_string(fc, "size", "50%");
}

static struct vfsmount *mount(const char *name, int (*set_options)(struct fs_context *))
{
	struct file_system_type *type = get_fs_type(name);
	struct vfsmount *mnt;
	struct fs_context *fc;
	int err;

	if (!type)
		return ERR_PTR(-ENODEV);
	fc = fs_context_for_mount(type, SB_KERNMOUNT);
	module_put(type->owner);
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	err = set_options ? set_options(fc) : 0;
	mnt = err ? ERR_PTR(err) : fc_mount_longterm(fc);
	put_fs_context(fc);
	return mnt;
}

struct vfsmount *kx_shmem_mount(void)
{
	return mount("tmpfs", set_options);
}

/* Without options it stays as it is for all others. */
struct vfsmount *kx_devtmpfs_mount(void)
{
	return mount("devtmpfs", NULL);
}

int kx_may_write_node(struct vfsmount *mnt, const char *name, dev_t number)
{
	struct inode *inode;
	struct path path;
	int err;

	err = vfs_path_lookup(mnt->mnt_root, mnt, name, 0, &path);
	if (err)
		return err;
	inode = d_backing_inode(path.dentry);
	if (S_ISCHR(inode->i_mode) && inode->i_rdev == number)
		err = inode_permission(mnt_idmap(path.mnt), inode, MAY_WRITE);
	else
		err = -ENOENT;
	path_put(&path);
	return err;
}

/*
 * Sizes change, so no memory is reserved for them as such; and the device node
 * is what decides about access, not the file behind it.
 */
struct file *kx_shmem_file(struct vfsmount *mnt, const char *name, loff_t size, int may_swap)
{
	struct file *file = shmem_file_setup_with_mnt(mnt, name, size,
						      mk_vma_flags(VMA_NORESERVE_BIT));

	if (IS_ERR(file))
		return file;
	file_inode(file)->i_flags |= S_PRIVATE;
	if (!may_swap)
		mapping_set_unevictable(file->f_mapping);
	return file;
}

/*
 * The same memory for mappings, open for nothing (3 is what ioctl-only opens of
 * devices have). They may be read and written all the same: the node decides
 * that when they are made. Only what asks the mapping's file is refused to them:
 * MADV_REMOVE, after which whoever touches the memory next would pay for new
 * pages, and remap_file_pages(), which would map past the slot's bookkeeping.
 */
struct file *kx_shmem_shown(struct file *file)
{
	return dentry_open(&file->f_path, O_ACCMODE | O_LARGEFILE, file->f_cred);
}

/* Rather than that somebody is killed for it. */
static const gfp_t may_fail_flags = __GFP_RETRY_MAYFAIL | __GFP_NOWARN;

void kx_shmem_may_fail(struct file *file, int may_fail)
{
	gfp_t mask = mapping_gfp_mask(file->f_mapping);

	mask = may_fail ? mask | may_fail_flags : mask & ~may_fail_flags;
	mapping_set_gfp_mask(file->f_mapping, mask);
}

/* It may leave again before it is looked at: who looks fetches it like any reader then. */
static int fetch_swapped(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio;

	if (!xa_is_value(xa_load(&mapping->i_pages, index)))
		return 0;
	folio = shmem_read_folio_gfp(mapping, index, mapping_gfp_mask(mapping) | may_fail_flags);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_put(folio);
	return 0;
}

/* Whoever maps the folio sees zeros from now on. Damaged pages are not touched. */
static int clear_folio(struct folio *folio, loff_t pos, loff_t end)
{
	int err = 0;

	while (pos < end) {
		struct page *page = folio_file_page(folio, pos >> PAGE_SHIFT);
		size_t len = min_t(loff_t, end - pos, PAGE_SIZE - offset_in_page(pos));

		if (PageHWPoison(page))
			err = -EIO;
		else
			memzero_page(page, offset_in_page(pos), len);
		pos += len;
	}
	folio_mark_dirty(folio);
	return err;
}

int kx_shmem_clear(struct file *file, loff_t pos, loff_t end, loff_t *next)
{
	struct address_space *mapping = file->f_mapping;
	pgoff_t index = pos >> PAGE_SHIFT;
	struct folio *folio = NULL;
	int err;

	*next = min_t(loff_t, end, (loff_t)(index + 1) << PAGE_SHIFT);
	err = fetch_swapped(mapping, index);
	if (!err)
		err = shmem_get_folio(mapping->host, index, 0, &folio, SGP_READ);
	if (err) {
		/* Behind the end there is nothing, as in a hole. */
		return pos >= i_size_read(mapping->host) ? 0 : err;
	}
	if (!folio)
		return 0;
	*next = min_t(loff_t, end, folio_next_pos(folio));
	err = clear_folio(folio, pos, *next);
	folio_unlock(folio);
	folio_put(folio);
	return err;
}

int kx_shmem_truncate(struct file *file, loff_t size)
{
	return vfs_truncate(&file->f_path, size);
}

/*
 * shmem leaves private_data of its files alone: here, it becomes the operations
 * of mappings, which kx_shmem_forget_policy() needs.
 */
int kx_shmem_map(struct file *shown, struct vm_area_struct *vma)
{
	int err = vfs_mmap(shown, vma);

	if (!err)
		WRITE_ONCE(shown->private_data, (void *)vma->vm_ops);
	return err;
}

/*
 * mbind() on a mapping makes a policy of the file, which the kernel keeps when
 * the mapping is gone. Only a mapping's operations can take it away; as there,
 * a vma stands for a range. From the start on, no range ends within a policy
 * that begins before it, so that nothing is allocated and the result is always
 * 0, unless somebody sets policies meanwhile. The lock within is a spinlock:
 * hence by parts.
 */
void kx_shmem_forget_policy(struct file *shown, u64 pages)
{
#ifdef CONFIG_NUMA
	const struct vm_operations_struct *ops = READ_ONCE(shown->private_data);
	const struct rb_root *policies = &SHMEM_I(file_inode(shown))->policy.root;
	const pgoff_t step = 1024;
	struct vm_area_struct part = { .vm_file = shown, .vm_end = step << PAGE_SHIFT };

	/* Without a mapping there was none. */
	if (!ops)
		return;
	for (; part.vm_pgoff < pages && !RB_EMPTY_ROOT(policies); part.vm_pgoff += step) {
		ops->set_policy(&part, NULL);
		cond_resched();
	}
#endif
}

unsigned long kx_get_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
				   unsigned long pgoff, unsigned long flags)
{
	return file->f_op->get_unmapped_area(file, addr, len, pgoff, flags);
}

/* Each node of the tree knows the last page of all below it. */
unsigned long kx_mapped_end(struct file *file)
{
	struct address_space *mapping = file->f_mapping;
	unsigned long end = 0;
	struct rb_node *root;

	i_mmap_lock_read(mapping);
	root = mapping->i_mmap.rb_root.rb_node;
	if (root)
		end = rb_entry(root, struct vm_area_struct, shared.rb)->shared.rb_subtree_last + 1;
	i_mmap_unlock_read(mapping);
	return end;
}

/* What model::ids has room for. */
static_assert(PID_MAX_LIMIT <= 1 << 22);

static pid_t number_of_owner(struct mm_struct *mm)
{
	struct task_struct *owner;
	pid_t number = 0;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	if (owner)
		number = task_tgid_nr_ns(owner, task_active_pid_ns(current));
	rcu_read_unlock();
	return number;
}

/*
 * A vma leaves the tree before its mm goes away. There is no place in the tree
 * to come back to once the lock was dropped, so it is held to the end, as in
 * the kernel's own walks: forks, mmap() and exits of those who map the memory
 * wait meanwhile. Hence each() takes the same few instructions for each.
 */
int kx_each_mapping(struct file *file, void (*each)(void *, int), void *context)
{
	struct address_space *mapping = file->f_mapping;
	struct rb_node *node;
	int err = 0;

	i_mmap_lock_read(mapping);
	for (node = rb_first_cached(&mapping->i_mmap); node && !err; node = rb_next(node)) {
		each(context, number_of_owner(rb_entry(node, struct vm_area_struct,
						       shared.rb)->vm_mm));
		cond_resched();
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	i_mmap_unlock_read(mapping);
	return err;
}

void kx_pagefault_disable(void)
{
	pagefault_disable();
}

void kx_pagefault_enable(void)
{
	pagefault_enable();
}

size_t kx_iov_len(const struct iov_iter *iter)
{
	return iov_iter_count(iter);
}

size_t kx_iov_cut(struct iov_iter *iter, size_t most)
{
	size_t len = iov_iter_count(iter);

	iov_iter_truncate(iter, most);
	return len - iov_iter_count(iter);
}

void kx_iov_extend(struct iov_iter *iter, size_t by)
{
	iov_iter_reexpand(iter, iov_iter_count(iter) + by);
}

struct cdev *kx_inode_cdev(struct inode *inode)
{
	return inode->i_cdev;
}

int kx_in_compat_syscall(void)
{
	return in_compat_syscall();
}

int kx_is_append(const struct kiocb *kiocb)
{
	return !!(kiocb->ki_flags & IOCB_APPEND);
}

int kx_must_not_wait(const struct kiocb *kiocb)
{
	return !!(kiocb->ki_flags & IOCB_NOWAIT);
}

const struct cred *kx_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void kx_revert_creds(const struct cred *cred)
{
	revert_creds(cred);
}
