// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/ioport.h>
#include <linux/kernel-page-flags.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/pgtable.h>

#include "look.h"

/*
 * Records of frames (struct page) are read without a lock and without a
 * reference, as the kernel does for /proc/kpageflags: what is seen may be of the
 * moment before. So each word is read once, from the structure itself rather than
 * through helpers that take a record for consistent, and what one record says of
 * others, an order or a head, is believed as far as those agree.
 */

/* What is read of one record, each word once. */
struct words {
	unsigned long flags, mapping, memcg_data;
	/* A map count or a type, and how many have a reference. */
	int mapcount, refs;
};

/* What one call knows. */
struct look {
	/* Behind the last frame that may be told. */
	unsigned long end;
	unsigned int wanted;
	/* What the last frame of programs was that stood for itself: all alike are told as it. */
	struct words like;
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

static const unsigned long block = PMD_SIZE / PAGE_SIZE;

static bool is_ram(struct look *look, unsigned long pfn)
{
	resource_size_t start = PFN_PHYS(ALIGN_DOWN(pfn, block));

	if (look->has_ram < 0)
		look->has_ram = region_intersects(start, PMD_SIZE, IORESOURCE_SYSTEM_RAM,
						  IORES_DESC_NONE) != REGION_DISJOINT;
	return look->has_ram && page_is_ram(pfn);
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
	run->mappings = kx_ram_own_mappings(page);
	if (run->mappings)
		run->facts |= KX_RAM_MAPPED;
}

/* Where flags say what is told, and nothing else. */
static const unsigned long told_flags =
	__PG_HWPOISON | BIT(PG_reserved) | BIT(PG_head) | BIT(PG_lru) | BIT(PG_dirty) |
	BIT(PG_writeback) | BIT(PG_unevictable) | BIT(PG_swapbacked) | BIT(PG_swapcache) |
	ZONES_MASK << ZONES_PGSHIFT | NODES_MASK << NODES_PGSHIFT;

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
 * As page_cgroup_ino(), of a word that was read before. Under RCU, what a record
 * names stays what it is, and the same word is the same cgroup. A record that has
 * become another's meanwhile may have a small number there.
 */
static u64 cgroup_of(struct look *look, unsigned long data)
{
	struct mem_cgroup *memcg;

	if (data == look->memcg_data)
		return look->cgroup;
	if (data < PAGE_OFFSET)
		return 0;
	memcg = obj_cgroup_memcg((struct obj_cgroup *)(data & ~OBJEXTS_FLAGS_MASK));
	while (memcg && !css_is_online(&memcg->css))
		memcg = parent_mem_cgroup(memcg);
	look->memcg_data = data;
	look->cgroup = memcg ? cgroup_id(memcg->css.cgroup) : 0;
	return look->cgroup;
}

static unsigned long memcg_data(const struct folio *folio)
{
	return READ_ONCE(folio->memcg_data);
}

static void tell_cgroup(struct look *look, unsigned long data, struct kx_ram_run *run)
{
	/* Slabs have a table there, of whom each object belongs to. */
	if (!data || data & MEMCG_DATA_OBJEXTS)
		return;
	run->facts |= KX_RAM_CHARGED;
	if (look->wanted & KX_RAM_GROUPS)
		run->cgroup = cgroup_of(look, data);
}
#else
static unsigned long memcg_data(const struct folio *folio)
{
	return 0;
}

static void tell_cgroup(struct look *look, unsigned long data, struct kx_ram_run *run)
{
}
#endif

static bool is_file_wanted(const struct look *look, const struct kx_ram_run *run)
{
	return run->facts & KX_RAM_MAPPING && look->wanted & KX_RAM_FILES;
}

static void tell_file(struct look *look, struct folio *folio, unsigned long mapping,
		      struct kx_ram_run *run)
{
	const struct address_space *found;

	if (look->mapping != mapping) {
		found = kx_ram_mapping(folio);
		if ((unsigned long)found != mapping || !found->host)
			return;
		look->file.facts = 0;
		kx_ram_identify(found->host, &look->file);
		look->mapping = mapping;
	}
	run->facts |= look->file.facts;
	run->inode = look->file.inode;
	run->major = look->file.major;
	run->minor = look->file.minor;
	run->magic = look->file.magic;
}

static struct words words_of(const struct folio *folio)
{
	return (struct words) {
		.flags = READ_ONCE(folio->flags.f),
		.mapping = (unsigned long)READ_ONCE(folio->mapping),
		.memcg_data = memcg_data(folio),
		.mapcount = atomic_read(&folio->_mapcount),
		.refs = folio_ref_count(folio),
	};
}

/* Facts of a folio, or of what else @folio is the first frame of, but how it is mapped. */
static void tell_folio(struct look *look, struct folio *folio, const struct words *words,
		       struct kx_ram_run *run)
{
	if (!words->refs)
		run->facts |= KX_RAM_UNREFERENCED;
	if (page_type_has_type(words->mapcount))
		run->facts |= kx_ram_type(words->mapcount);
	else
		run->facts |= kx_ram_flags(words->flags) | kx_ram_is_mapping(words->mapping);
	if (run->facts & KX_RAM_BUDDY)
		return;
	if (!(run->facts & ~KX_RAM_LARGE) && page_pool_page_is_pp(&folio->page))
		run->facts |= KX_RAM_POOL;
	tell_cgroup(look, words->memcg_data, run);
	if (is_file_wanted(look, run))
		tell_file(look, folio, words->mapping, run);
}

/* What of the word of a mapping is told. */
static unsigned long told_mapping(const struct look *look, unsigned long mapping)
{
	if (mapping & FOLIO_MAPPING_FLAGS)
		return mapping & FOLIO_MAPPING_FLAGS;
	return look->wanted & KX_RAM_FILES || !mapping ? mapping : ULONG_MAX;
}

static unsigned long told_memcg_data(const struct look *look, unsigned long data)
{
	return look->wanted & KX_RAM_GROUPS ? data : !!data;
}

/* Whether a frame that stands for itself is memory of programs: the words tell all of it. */
static bool is_plain(const struct words *words)
{
	return words->mapping && words->refs && words->mapcount >= -1 &&
	       !(words->flags & BIT(PG_head));
}

/* Whether the same is told of two of which this is true. Most frames are like their neighbours. */
static bool are_alike(const struct look *look, const struct words *one, const struct words *other)
{
	return !((one->flags ^ other->flags) & told_flags) &&
	       (one->mapcount < 0) == (other->mapcount < 0) &&
	       told_mapping(look, one->mapping) == told_mapping(look, other->mapping) &&
	       told_memcg_data(look, one->memcg_data) ==
	       told_memcg_data(look, other->memcg_data);
}

/* Takes @page for a frame more of what @last tells, if it is like the last frame of that. */
static bool is_one_more(const struct look *look, const struct page *page,
			struct kx_ram_run *last)
{
	struct words words;

	if (!look->like.mapping || READ_ONCE(page->compound_info) & 1)
		return false;
	words = words_of((const struct folio *)page);
	if (!is_plain(&words) || !are_alike(look, &look->like, &words))
		return false;
	last->frames++;
	last->mappings += words.mapcount + 1;
	return true;
}

static void tell_place(unsigned long flags, struct kx_ram_run *run)
{
	run->node = (flags >> NODES_PGSHIFT) & NODES_MASK;
	run->zone = kx_ram_zone(flags);
}

static unsigned long look_at_one(struct look *look, struct page *page, unsigned long pfn,
				 struct kx_ram_run *run)
{
	struct words words = words_of((const struct folio *)page);
	unsigned long frames = 1;

	tell_folio(look, (struct folio *)page, &words, run);
	run->mappings = max(words.mapcount + 1, 0);
	if (run->mappings)
		run->facts |= KX_RAM_MAPPED;
	if (run->facts & KX_RAM_BUDDY) {
		run->order = READ_ONCE(page->private);
		if (run->order > MAX_PAGE_ORDER || !IS_ALIGNED(pfn, BIT(run->order)))
			run->order = 0;
		frames = BIT(run->order);
	} else if (run->facts == KX_RAM_UNREFERENCED) {
		if (kx_ram_in_buddy(page, pfn, &run->order))
			run->facts |= KX_RAM_BUDDY;
		else if (!kx_ram_in_list(page, pfn))
			run->facts = 0;
	}
	/* Where a file is wanted and was not found, it may be with the next. */
	if (is_plain(&words) && (run->inode || !is_file_wanted(look, run)))
		look->like = words;
	return reach(look, pfn, frames);
}

static unsigned long look_at_large(struct look *look, struct folio *folio, struct page *page,
				   unsigned long pfn, unsigned int order,
				   struct kx_ram_run *run)
{
	unsigned long all = BIT(order), frames, i;
	struct words words;

	frames = reach(look, pfn, all - (pfn & (all - 1)));
	/* Their marks are their own. */
	for (i = 1; i < frames; i++)
		if (READ_ONCE(page[i].flags.f) & __PG_HWPOISON)
			break;
	frames = i;
	run->facts |= KX_RAM_LARGE;
	words = words_of(folio);
	/* Those of the others may be shared (HugeTLB's vmemmap). */
	tell_place(words.flags, run);
	tell_folio(look, folio, &words, run);
	/* Of hugetlb, only the first frame says so for all. */
	if (run->facts & KX_RAM_HUGETLB && words.flags & __PG_HWPOISON)
		run->facts |= KX_RAM_POISONED;
	if (order == PMD_ORDER && run->facts == KX_RAM_LARGE &&
	    stable_page_flags(&folio->page) & BIT_ULL(KPF_ZERO_PAGE))
		run->facts |= KX_RAM_ZERO;
	return kx_ram_tell_mappings(folio, page, frames, all, run);
}

/* Returns how many frames @run tells of. */
static unsigned long look_at(struct look *look, struct page *page, unsigned long pfn,
			     struct kx_ram_run *run)
{
	unsigned long flags = READ_ONCE(page->flags.f);
	unsigned int order, tries = 3;
	struct page *head;

	look->like.mapping = 0;
	*run = (struct kx_ram_run) { .pfn = pfn };
	tell_place(flags, run);
	if (flags & (__PG_HWPOISON | BIT(PG_reserved))) {
		look_at_marked(look, page, pfn, flags, run);
		return 1;
	}
	do {
		head = compound_head(page);
		order = kx_ram_order(head, page, pfn);
		if (order)
			return look_at_large(look, (struct folio *)head, page, pfn, order, run);
		if (head == page)
			return look_at_one(look, page, pfn, run);
	} while (--tries);
	/* On its way into something larger, or out of it. */
	return 1;
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
		if (page && count && is_one_more(&look, page, last)) {
			frames = 1;
			page++;
			continue;
		}
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
