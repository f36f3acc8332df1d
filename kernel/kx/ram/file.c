// SPDX-License-Identifier: GPL-2.0
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>

#include "look.h"

/* The mapping of @folio, of which we have a reference, if it is a file's. */
static struct address_space *file_mapping(struct folio *folio)
{
	struct address_space *mapping = READ_ONCE(folio->mapping);
	bool is_file = page_folio(&folio->page) == folio && !page_has_type(&folio->page) &&
		       !((unsigned long)mapping & FOLIO_MAPPING_FLAGS);

	return is_file ? mapping : NULL;
}

/*
 * The mapping of a file's folio. A reference makes sure that the folio is not
 * freed, hence that the word is a mapping, and that it is the folio's. A file takes
 * its folios out of its mapping before its inode is given up, of which that is a
 * part and which is freed by RCU, as is its superblock: under RCU what was found
 * may be read when the reference is gone. It may be another file's by then (XFS
 * takes inodes into use again at once), so that it may not be locked.
 */
struct address_space *kx_ram_mapping(struct folio *folio)
{
	struct address_space *mapping;

	if (!folio_try_get(folio))
		return NULL;
	mapping = file_mapping(folio);
	folio_put(folio);
	return mapping;
}

void kx_ram_identify(const struct inode *inode, struct kx_ram_run *run)
{
	dev_t device = inode->i_sb->s_dev;

	if (S_ISBLK(inode->i_mode)) {
		device = inode->i_rdev;
		run->facts |= KX_RAM_DEVICE;
	}
	run->inode = inode->i_ino;
	run->major = MAJOR(device);
	run->minor = MINOR(device);
	run->magic = inode->i_sb->s_magic;
}

static void copy_name(const struct dentry *dentry, char *buffer, unsigned int len,
		      unsigned int *at)
{
	unsigned int bytes = min(dentry->d_name.len, len - 1);

	*at = len - 1 - bytes;
	memcpy(buffer + *at, dentry->d_name.name, bytes);
	buffer[len - 1] = '\0';
}

/* Names that were deleted, and are open still, before one that was not. Anybody can make many. */
static const unsigned int most_aliases = 64;

/*
 * A name of a file, as d_find_alias_rcu() finds it. What is not freed by RCU is no
 * part of a tree and never renamed: it stays as long as the inode's lock is held,
 * and its name is copied right away.
 */
static const struct dentry *find_alias(struct inode *inode, char *buffer, unsigned int len,
				       unsigned int *at)
{
	const struct dentry *found = NULL, *dentry;
	unsigned int count = 0;

	spin_lock(&inode->i_lock);
	if (!(inode_state_read(inode) & I_FREEING)) {
		hlist_for_each_entry(dentry, &inode->i_dentry, d_alias) {
			found = dentry;
			if (!d_unhashed(dentry) || ++count == most_aliases)
				break;
		}
	}
	if (found && found->d_flags & DCACHE_NORCU) {
		copy_name(found, buffer, len, at);
		found = NULL;
	}
	spin_unlock(&inode->i_lock);
	return found;
}

static unsigned int tell_name(struct inode *inode, char *buffer, unsigned int len,
			      unsigned int *at)
{
	const struct dentry *dentry;
	bool is_deleted;
	char *path;

	*at = len;
	dentry = find_alias(inode, buffer, len, at);
	if (!dentry)
		return *at < len ? KX_RAM_NAMED : KX_RAM_UNNAMED;
	/* Not connected with a root: what goes by handles (NFS). */
	if (IS_ROOT(dentry) && dentry != inode->i_sb->s_root)
		return KX_RAM_UNNAMED;
	is_deleted = d_unlinked(dentry);
	path = dentry_path_raw(dentry, buffer, len);
	if (IS_ERR(path))
		return KX_RAM_TOO_LONG;
	*at = path - buffer;
	return is_deleted ? KX_RAM_DELETED : KX_RAM_NAMED;
}

/* The same for a folio that is locked and still in this mapping: its inode cannot be given up. */
static unsigned int tell_name_of(const struct kx_ram_run *run, struct address_space *mapping,
				 char *buffer, unsigned int len, unsigned int *at)
{
	struct kx_ram_run now = {};

	if (!mapping->host)
		return KX_RAM_UNNAMED;
	kx_ram_identify(mapping->host, &now);
	if (now.inode != run->inode || now.major != run->major || now.minor != run->minor)
		return KX_RAM_UNNAMED;
	return tell_name(mapping->host, buffer, len, at);
}

/*
 * The name of the file of which the first frame of @run is, if it still is: up to
 * the end of @buffer, from *@at on. Neither inode nor dentry is referenced, so that
 * unmounting never finds them busy. The frame is locked meanwhile, for which whoever
 * gives up the inode waits; if somebody else has it locked, there is no name.
 */
unsigned int kx_ram_name(const struct kx_ram_run *run, char *buffer, unsigned int len,
			 unsigned int *at)
{
	unsigned int named = KX_RAM_UNNAMED;
	struct address_space *mapping;
	struct folio *folio = NULL;
	struct page *page;

	rcu_read_lock();
	page = pfn_to_online_page(run->pfn);
	if (page)
		folio = page_folio(page);
	if (!folio || !folio_try_get(folio))
		goto unlock;
	/* With a reference, what is a file's does not become anything with another kind of lock. */
	mapping = file_mapping(folio);
	if (mapping && folio_trylock(folio)) {
		if (READ_ONCE(folio->mapping) == mapping)
			named = tell_name_of(run, mapping, buffer, len, at);
		folio_unlock(folio);
	}
	folio_put(folio);
unlock:
	rcu_read_unlock();
	return named;
}
