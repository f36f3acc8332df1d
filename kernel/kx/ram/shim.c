// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/ioport.h>
#include <linux/kdev_t.h>
#include <linux/kernel-page-flags.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "shim.h"

/*
 * Records of frames (struct page) are read without a lock and without a
 * reference, as the kernel does for /proc/kpageflags: what is seen may be of the
 * moment before. So each word is read once, from the structure itself rather than
 * through helpers that take a record for consistent, and what one record says of
 * others, an order or a head, is believed as far as those agree.
 */

/* What one call knows. */
struct look {
	/* Behind the last frame that may be told. */
	unsigned long end;
	unsigned int wanted;
	/* Whether there is memory in these 2 MiB at all; -1 if nobody asked yet. */
	int has_ram;
	/* The last mapping that was told, and what of it; valid as long as RCU is held. */
	unsigned long mapping;
	struct kx_ram_run file;
#ifdef CONFIG_MEMCG
	/* The same for the last cgroup. */
	unsigned long memcg_data;
	u64 cgroup;
#endif
};

/* ENTIRELY_MAPPED of mm/internal.h: this bit of a folio's count, and those below. */
static const int entirely_mapped = 0x800000;

static unsigned int zone_of(unsigned long flags)
{
	switch ((flags >> ZONES_PGSHIFT) & ZONES_MASK) {
#ifdef CONFIG_ZONE_DMA
	case ZONE_DMA:
		return KX_RAM_ZONE_DMA;
#endif
#ifdef CONFIG_ZONE_DMA32
	case ZONE_DMA32:
		return KX_RAM_ZONE_DMA32;
#endif
	case ZONE_NORMAL:
		return KX_RAM_ZONE_NORMAL;
	case ZONE_MOVABLE:
		return KX_RAM_ZONE_MOVABLE;
	default:
		return KX_RAM_ZONE_NONE;
	}
}

static const unsigned long block = PMD_SIZE / PAGE_SIZE;

static bool is_ram(struct look *look, unsigned long pfn)
{
	resource_size_t start = PFN_PHYS(ALIGN_DOWN(pfn, block));

	if (look->has_ram < 0)
		look->has_ram = region_intersects(start, PMD_SIZE, IORESOURCE_SYSTEM_RAM,
						  IORES_DESC_NONE) != REGION_DISJOINT;
	return look->has_ram && page_is_ram(pfn);
}

/* How many entries map what is no large folio; there may be a type in that place. */
static unsigned int own_mappings(const struct page *page)
{
	return max(atomic_read(&page->_mapcount) + 1, 0);
}

/* Of a frame with one of the two marks that go before all others. */
static void look_at_marked(struct look *look, const struct page *page, unsigned long pfn,
			   unsigned long flags, struct kx_ram_run *run)
{
	if (flags & __PG_HWPOISON)
		run->facts |= KX_RAM_POISONED;
	if (!(flags & BIT(PG_reserved)))
		return;
	run->facts |= KX_RAM_RESERVED;
	if (is_zero_pfn(pfn))
		run->facts |= KX_RAM_ZERO;
	else if (!is_ram(look, pfn))
		run->facts |= KX_RAM_NOT_RAM;
	/* The kernel shows programs some of its own (vDSO). */
	run->mappings = own_mappings(page);
	if (run->mappings)
		run->facts |= KX_RAM_MAPPED;
}

static u64 type_fact(unsigned int type)
{
	switch (type >> 24) {
	case PGTY_buddy:
		return KX_RAM_BUDDY;
	case PGTY_offline:
		return KX_RAM_GIVEN_AWAY;
	case PGTY_table:
		return KX_RAM_TABLE;
	case PGTY_hugetlb:
		return KX_RAM_HUGETLB;
	case PGTY_slab:
		return KX_RAM_SLAB;
	case PGTY_zsmalloc:
		return KX_RAM_ZSMALLOC;
	case PGTY_unaccepted:
		return KX_RAM_UNACCEPTED;
	case PGTY_large_kmalloc:
		return KX_RAM_KMALLOC;
	default:
		return 0;
	}
}

/* Of memory of programs, and of the kernel's that has no type. */
static u64 flag_facts(unsigned long flags)
{
	u64 facts = 0;

	if (flags & BIT(PG_lru))
		facts |= KX_RAM_LRU;
	if (flags & BIT(PG_dirty))
		facts |= KX_RAM_DIRTY;
	if (flags & BIT(PG_writeback))
		facts |= KX_RAM_WRITEBACK;
	if (flags & BIT(PG_unevictable))
		facts |= KX_RAM_UNEVICTABLE;
	if (flags & BIT(PG_swapbacked)) {
		facts |= KX_RAM_SWAP_BACKED;
		if (IS_ENABLED(CONFIG_SWAP) && flags & BIT(PG_swapcache))
			facts |= KX_RAM_SWAP_CACHE;
	}
	return facts;
}

static u64 mapping_facts(unsigned long mapping)
{
	if ((mapping & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_KSM)
		return KX_RAM_ANONYMOUS | KX_RAM_KSM;
	if (mapping & FOLIO_MAPPING_ANON)
		return KX_RAM_ANONYMOUS;
	return mapping ? KX_RAM_MAPPING : 0;
}

/* The block of which the frame is a part that has no mark itself, as is_free_buddy_page(). */
static bool in_buddy(const struct page *page, unsigned long pfn, u32 *order)
{
	const struct page *head;

	for (*order = 1; *order <= MAX_PAGE_ORDER; ++*order) {
		head = page - (pfn & (BIT(*order) - 1));
		if (READ_ONCE(head->page_type) >> 24 == PGTY_buddy &&
		    READ_ONCE(head->private) >= *order) {
			*order = min(READ_ONCE(head->private), MAX_PAGE_ORDER);
			return true;
		}
	}
	*order = 0;
	return false;
}

static bool is_linked(const struct page *page)
{
	const struct list_head *own = &page->lru, *next = READ_ONCE(own->next), *back = NULL;

	/* If it is in no list, it is alone in one, or the word may be anything. */
	return next != own &&
	       !copy_from_kernel_nofault(&back, &next->prev, sizeof(back)) && back == own;
}

/*
 * Whether an unreferenced frame without a mark is free, in a list of a CPU or on
 * its way: it is in a list, or is one of a block of which the first frame is. The
 * kernel's blocks that are not compound look alike, but that their first frame has
 * a reference. What is in neither is the kernel's.
 */
static bool in_list(const struct page *page, unsigned long pfn)
{
	const struct page *head, *last = NULL;
	unsigned int order;

	for (order = 0; order <= MAX_PAGE_ORDER; order++) {
		head = page - (pfn & (BIT(order) - 1));
		if (head == last)
			continue;
		if (page_ref_count(head))
			return false;
		if (!page_has_type(head) && is_linked(head))
			return true;
		last = head;
	}
	return false;
}

/* How far what begins at @pfn reaches that is @frames long, and all of it has records. */
static unsigned long reach(const struct look *look, unsigned long pfn, unsigned long frames)
{
	frames = min(frames, look->end - pfn);
	if ((pfn & (block - 1)) + frames > block && !pfn_to_online_page(pfn + frames - 1))
		frames = block - (pfn & (block - 1));
	return frames;
}

#ifdef CONFIG_MEMCG
/*
 * Under RCU, what a record names stays what it is: the same word is the same
 * cgroup. See page_cgroup_ino().
 */
static u64 cgroup_of(struct look *look, struct folio *folio, unsigned long data)
{
	struct mem_cgroup *memcg;
	u64 cgroup;

	if (data == look->memcg_data)
		return look->cgroup;
	memcg = folio_memcg_check(folio);
	while (memcg && !css_is_online(&memcg->css))
		memcg = parent_mem_cgroup(memcg);
	cgroup = memcg ? cgroup_id(memcg->css.cgroup) : 0;
	if (READ_ONCE(folio->memcg_data) == data) {
		look->memcg_data = data;
		look->cgroup = cgroup;
	}
	return cgroup;
}

static void tell_cgroup(struct look *look, struct folio *folio, struct kx_ram_run *run)
{
	unsigned long data = READ_ONCE(folio->memcg_data);

	/* Slabs have a table there, of whom each object belongs to. */
	if (!data || data & MEMCG_DATA_OBJEXTS)
		return;
	run->facts |= KX_RAM_CHARGED;
	if (look->wanted & KX_RAM_GROUPS)
		run->cgroup = cgroup_of(look, folio, data);
}
#else
static void tell_cgroup(struct look *look, struct folio *folio, struct kx_ram_run *run)
{
}
#endif

/*
 * The mapping of a file's folio. A reference makes sure that the folio is not
 * freed, hence that the word is a mapping, and that it is the folio's. A file takes
 * its folios out of its mapping before its inode is given up, of which that is a
 * part and which is freed by RCU, as is its superblock: under RCU what was found
 * may be read when the reference is gone. (d_find_alias_rcu() builds on the same.)
 */
static struct address_space *mapping_of(struct folio *folio)
{
	struct address_space *mapping;
	bool is_file;

	if (!folio_try_get(folio))
		return NULL;
	mapping = READ_ONCE(folio->mapping);
	is_file = page_folio(&folio->page) == folio && !page_has_type(&folio->page) &&
		  !((unsigned long)mapping & FOLIO_MAPPING_FLAGS);
	folio_put(folio);
	return is_file ? mapping : NULL;
}

static void identify(const struct inode *inode, struct kx_ram_run *run)
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

static void tell_file(struct look *look, struct folio *folio, unsigned long mapping,
		      struct kx_ram_run *run)
{
	const struct address_space *found;

	if (look->mapping != mapping) {
		found = mapping_of(folio);
		if ((unsigned long)found != mapping || !found->host)
			return;
		look->file.facts = 0;
		identify(found->host, &look->file);
		look->mapping = mapping;
	}
	run->facts |= look->file.facts;
	run->inode = look->file.inode;
	run->major = look->file.major;
	run->minor = look->file.minor;
	run->magic = look->file.magic;
}

/* Facts of a folio, or of what else @folio is the first frame of, but how it is mapped. */
static void tell_folio(struct look *look, struct folio *folio, unsigned long flags,
		       struct kx_ram_run *run)
{
	unsigned long mapping = (unsigned long)READ_ONCE(folio->mapping);
	unsigned int type = READ_ONCE(folio->page.page_type);

	if (!folio_ref_count(folio))
		run->facts |= KX_RAM_UNREFERENCED;
	if (page_type_has_type(type))
		run->facts |= type_fact(type);
	else
		run->facts |= flag_facts(flags) | mapping_facts(mapping);
	if (run->facts & KX_RAM_BUDDY)
		return;
	if (!(run->facts & ~KX_RAM_LARGE) && page_pool_page_is_pp(&folio->page))
		run->facts |= KX_RAM_POOL;
	tell_cgroup(look, folio, run);
	if (run->facts & KX_RAM_MAPPING && look->wanted & KX_RAM_FILES)
		tell_file(look, folio, mapping, run);
}

static unsigned long look_at_one(struct look *look, struct page *page, unsigned long pfn,
				 unsigned long flags, struct kx_ram_run *run)
{
	unsigned long frames = 1;

	tell_folio(look, (struct folio *)page, flags, run);
	run->mappings = own_mappings(page);
	if (run->mappings)
		run->facts |= KX_RAM_MAPPED;
	if (run->facts & KX_RAM_BUDDY) {
		run->order = READ_ONCE(page->private);
		if (run->order > MAX_PAGE_ORDER || !IS_ALIGNED(pfn, BIT(run->order)))
			run->order = 0;
		frames = BIT(run->order);
	} else if (run->facts == KX_RAM_UNREFERENCED) {
		if (in_buddy(page, pfn, &run->order))
			run->facts |= KX_RAM_BUDDY;
		else if (!in_list(page, pfn))
			run->facts = 0;
	}
	return reach(look, pfn, frames);
}

/*
 * Of a folio of which some frames are mapped and some are not, those from @page on
 * that are alike. The first frame's count is where its type would be.
 */
static unsigned long mapped_alike(const struct page *page, unsigned long frames,
				  struct kx_ram_run *run)
{
	bool is_mapped = own_mappings(page);
	unsigned long i;

	for (i = 0; i < frames; i++) {
		if (is_mapped != !!own_mappings(page + i))
			break;
		run->mappings += own_mappings(page + i);
	}
	if (is_mapped)
		run->facts |= KX_RAM_MAPPED;
	return i;
}

/* Which of @frames frames from @page on are mapped, as far as it is the same for them. */
static unsigned long tell_mappings(const struct folio *folio, const struct page *page,
				   unsigned long frames, unsigned long all,
				   struct kx_ram_run *run)
{
	int total = atomic_read(&folio->_large_mapcount) + 1;
	int entire = atomic_read(&folio->_entire_mapcount) + 1;
	int mapped = atomic_read(&folio->_nr_pages_mapped);

	if (total <= 0)
		return frames;
	if (!(run->facts & KX_RAM_HUGETLB) && mapped < entirely_mapped && mapped < all)
		return mapped_alike(page, frames, run);
	run->facts |= KX_RAM_MAPPED;
	/* Those by small entries are spread evenly if this is not all of it. */
	run->mappings = frames * max(entire, 0) + max(total - entire, 0) * frames / all;
	return frames;
}

static unsigned long look_at_large(struct look *look, struct folio *folio, struct page *page,
				   unsigned long pfn, unsigned int order,
				   struct kx_ram_run *run)
{
	unsigned long all = BIT(order), frames, flags, i;

	frames = reach(look, pfn, all - (pfn & (all - 1)));
	/* Their marks are their own. */
	for (i = 1; i < frames; i++)
		if (READ_ONCE(page[i].flags.f) & __PG_HWPOISON)
			break;
	frames = i;
	run->facts |= KX_RAM_LARGE;
	flags = READ_ONCE(folio->flags.f);
	tell_folio(look, folio, flags, run);
	/* Of hugetlb, only the first frame says so for all. */
	if (run->facts & KX_RAM_HUGETLB && flags & __PG_HWPOISON)
		run->facts |= KX_RAM_POISONED;
	if (order == HPAGE_PMD_ORDER && run->facts == KX_RAM_LARGE &&
	    stable_page_flags(&folio->page) & BIT_ULL(KPF_ZERO_PAGE))
		run->facts |= KX_RAM_ZERO;
	return tell_mappings(folio, page, frames, all, run);
}

/*
 * The order of what @page is a part of and @head the first frame; 0 if they do not
 * agree on that. All that consists of several frames begins where its size says.
 */
static unsigned int order_of(struct page *head, const struct page *page, unsigned long pfn)
{
	unsigned long flags = READ_ONCE(head->flags.f);
	unsigned int order;

	if (!(flags & BIT(PG_head)))
		return 0;
	order = compound_order(head);
	if (!order || order > MAX_FOLIO_ORDER)
		return 0;
	return pfn_to_page(ALIGN_DOWN(pfn, BIT(order))) == head ? order : 0;
}

/* Returns how many frames @run tells of. */
static unsigned long look_at(struct look *look, struct page *page, unsigned long pfn,
			     struct kx_ram_run *run)
{
	unsigned long flags = READ_ONCE(page->flags.f);
	struct page *head;
	unsigned int order;

	*run = (struct kx_ram_run) {
		.pfn = pfn,
		.node = (flags >> NODES_PGSHIFT) & NODES_MASK,
		.zone = zone_of(flags),
	};
	if (flags & (__PG_HWPOISON | BIT(PG_reserved))) {
		look_at_marked(look, page, pfn, flags, run);
		return 1;
	}
	head = compound_head(page);
	if (head == page && likely(!(flags & BIT(PG_head))))
		return look_at_one(look, page, pfn, flags, run);
	order = order_of(head, page, pfn);
	if (likely(order))
		return look_at_large(look, page_folio(head), page, pfn, order, run);
	return look_at_one(look, page, pfn, flags, run);
}

/* Frames of a section that is not online: are they memory at all? */
static unsigned long look_at_offline(struct look *look, unsigned long pfn,
				     struct kx_ram_run *run)
{
	*run = (struct kx_ram_run) {
		.pfn = pfn,
		.facts = is_ram(look, pfn) ? KX_RAM_OFFLINE : 0,
		.node = KX_RAM_NODE_NONE,
		.zone = KX_RAM_ZONE_NONE,
	};
	return 1;
}

/* Whether @run goes on where @last ends, with frames that are alike. */
static bool goes_on(const struct kx_ram_run *last, const struct kx_ram_run *run)
{
	return last->facts == run->facts && last->pfn + last->frames == run->pfn &&
	       last->cgroup == run->cgroup && last->inode == run->inode &&
	       last->major == run->major && last->minor == run->minor &&
	       last->node == run->node && last->zone == run->zone &&
	       last->order == run->order;
}

/*
 * Tells of the frames from @pfn on, up to the end of the 2 MiB around it, of what
 * reaches beyond, or of the room, and where to go on. The records of memory that
 * was found online stay until RCU is released, see kx_memory_watch(). Memory goes
 * on- and offline by sections, and pieces of them have records by 2 MiB: what is
 * true of the first frame is true of all.
 */
unsigned int kx_ram_look(unsigned long pfn, unsigned long end, unsigned int wanted,
			 struct kx_ram_run *runs, unsigned int room, unsigned long *next)
{
	unsigned long stop = min(end, ALIGN_DOWN(pfn, block) + block), frames;
	struct look look = {
		.end = min(end, ALIGN_DOWN(pfn, PAGES_PER_SECTION) + PAGES_PER_SECTION),
		.wanted = wanted,
		.has_ram = -1,
	};
	struct kx_ram_run *last = runs, run;
	unsigned int count = 0;
	struct page *page;

	rcu_read_lock();
	page = pfn_to_online_page(pfn);
	for (; pfn < stop; pfn += frames) {
		frames = page ? look_at(&look, page, pfn, &run) :
				look_at_offline(&look, pfn, &run);
		page = page ? page + frames : NULL;
		if (!run.facts && !page)
			continue;
		if (count && goes_on(last, &run)) {
			last->frames += frames;
			last->mappings += run.mappings;
			continue;
		}
		if (count == room)
			break;
		run.frames = frames;
		last = &runs[count++];
		*last = run;
	}
	rcu_read_unlock();
	*next = pfn;
	return count;
}

/* The first frame at @pfn or behind it of a section of which there is memory. */
unsigned long kx_ram_next(unsigned long pfn)
{
	unsigned long nr = pfn_to_section_nr(pfn);

	if (pfn_in_present_section(pfn))
		return pfn;
	for (nr++; nr < NR_MEM_SECTIONS; nr++) {
		struct mem_section *section = __nr_to_section(nr);

		if (present_section(section))
			return section_nr_to_pfn(nr);
		/* Where one has no record, its neighbours have none. */
		if (!section)
			nr |= SECTION_ROOT_MASK;
	}
	return ULONG_MAX;
}

static void copy_name(const struct dentry *dentry, char *buffer, unsigned int len,
		      unsigned int *at)
{
	unsigned int bytes = min(dentry->d_name.len, len - 1);

	*at = len - 1 - bytes;
	memcpy(buffer + *at, dentry->d_name.name, bytes);
	buffer[len - 1] = '\0';
}

/*
 * A name of a file, as d_find_alias_rcu() finds it. What is not freed by RCU is no
 * part of a tree and never renamed: it stays as long as the inode's lock is held,
 * and its name is copied right away.
 */
static const struct dentry *find_alias(struct inode *inode, char *buffer, unsigned int len,
				       unsigned int *at)
{
	const struct dentry *found = NULL, *dentry;

	spin_lock(&inode->i_lock);
	if (!(inode_state_read(inode) & I_FREEING)) {
		hlist_for_each_entry(dentry, &inode->i_dentry, d_alias) {
			found = dentry;
			if (!d_unhashed(dentry))
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

static int tell_name(struct inode *inode, char *buffer, unsigned int len, unsigned int *at,
		     int *deleted)
{
	const struct dentry *dentry;
	char *path;

	*at = len;
	*deleted = 0;
	dentry = find_alias(inode, buffer, len, at);
	if (!dentry)
		return *at < len ? 0 : -ENOENT;
	/* Not connected with a root: what goes by handles (NFS). */
	if (IS_ROOT(dentry) && dentry != inode->i_sb->s_root)
		return -ENOENT;
	*deleted = d_unlinked(dentry);
	path = dentry_path_raw(dentry, buffer, len);
	if (IS_ERR(path))
		return PTR_ERR(path);
	*at = path - buffer;
	return 0;
}

/*
 * The name of the file of which the first frame of @run is, if it still is: up to
 * the end of @buffer, from *@at on. Nothing is referenced, neither inode nor
 * dentry, so that unmounting never finds them busy.
 */
int kx_ram_name(const struct kx_ram_run *run, char *buffer, unsigned int len,
		unsigned int *at, int *deleted)
{
	struct address_space *mapping = NULL;
	struct kx_ram_run now = {};
	int err = -ENOENT;
	struct page *page;

	rcu_read_lock();
	page = pfn_to_online_page(run->pfn);
	if (page)
		mapping = mapping_of(page_folio(page));
	if (mapping && mapping->host) {
		identify(mapping->host, &now);
		if (now.inode == run->inode && now.major == run->major &&
		    now.minor == run->minor)
			err = tell_name(mapping->host, buffer, len, at, deleted);
	}
	rcu_read_unlock();
	return err;
}

static u64 counter(const struct pglist_data *node, enum node_stat_item item)
{
	return max(atomic_long_read(&node->vm_stat[item]), 0L);
}

/* The counters of the first node from @from on; returns which, or -1 if there is none. */
int kx_ram_node(int from, struct kx_ram_node *counters)
{
	const struct pglist_data *node;
	int number = from;

	while (number < MAX_NUMNODES && !node_online(number))
		number++;
	if (number >= MAX_NUMNODES)
		return -1;
	node = NODE_DATA(number);
	*counters = (struct kx_ram_node) {
		.present = (u64)READ_ONCE(node->node_present_pages) * PAGE_SIZE,
		.vmalloc = counter(node, NR_VMALLOC) * PAGE_SIZE,
		.kernel_stacks = counter(node, NR_KERNEL_STACK_KB) * SZ_1K,
		.page_tables = counter(node, NR_PAGETABLE) * PAGE_SIZE,
		.secondary_page_tables = counter(node, NR_SECONDARY_PAGETABLE) * PAGE_SIZE,
	};
	return number;
}
