// SPDX-License-Identifier: GPL-2.0
//! Copy-on-write faults, and the life of the address spaces that they happen in, as events.
//!
//! | function | event |
//! |---|---|
//! | `do_wp_page` | a write to a write-protected small page |
//! | `do_huge_pmd_wp_page` | the same with a huge one |
//! | `folio_move_anon_rmap` | a page is taken over instead of being copied |
//! | `swap_cache_del_folio` | the swap cache lets go of a page, perhaps for that |
//! | `do_cow_fault` or `do_fault` | a private page of a file is written to before it is present |
//! | `setup_new_exec` | a program begins |
//! | `wake_up_new_task` | a child begins |
//! | `exit_mmap` | an address space ends |
//!
//! All are present in Debian's kernels. Compilers may inline the two of the fifth row away: such
//! first writes are then not seen.
//!
//! Handlers run as [`probe`](kx_hook::probe) says. What they may read is stable: a fault holds its
//! VMA, and that of a small page the page table's lock and its page as well; a new program and a new
//! child have no other users yet; an address space that ends has none any more.

use crate::{
    fast_counter::FastCounter,
    mmset::{ExitingMm, MmId},
    sys,
};
use kernel::{bindings, mm::Mm, prelude::*, sync::Arc};
use kx_hook::probe::{Entry, FunctionProbe, Hook, HotProbe};
use kx_mm::task::Comm;
use model::cow::{Facts, Outcome};

/// Receives the events.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// A fault that may be of copy-on-write.
    fn fault(&self, fault: Fault<'_>);
    /// The swap cache lets go of a page. The current task, whose address space this is, sees to that.
    /// Whether somebody still maps it is known.
    fn swap_freed(&self, mm: MmId, page: PageId, is_mapped: bool);
    /// The current task begins to execute a program under the name `comm` in `mm`.
    fn exec(&self, mm: &Mm, comm: Comm);
    /// A child of `parent`'s is about to run in `child`, a copy of it.
    fn fork(&self, parent: MmId, child: &Mm);
    /// An address space is about to be taken down; its areas are still there.
    fn exit(&self, mm: &ExitingMm<'_>);
}

/// Where the kernel is when it shows a fault.
#[derive(Clone, Copy)]
enum At<'a> {
    SmallPage(*const bindings::vm_fault),
    HugePage(*const bindings::vm_fault),
    /// With the arguments: a folio and the VMA.
    Takeover(Entry<'a>),
    Missing(*const bindings::vm_fault),
}

/// Names a page, or the folio that it is a part of, as long as somebody keeps it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageId(usize);

/// A fault. It fits into two registers.
///
/// # Invariants
///
/// The pointers are valid for `'a`, and the VMA does not change. The page of a small page's fault and
/// of a take-over is present and cannot be freed; a huge page may have gone.
#[derive(Clone, Copy)]
pub(crate) struct Fault<'a> {
    at: At<'a>,
}

impl<'a> Fault<'a> {
    /// # Safety
    ///
    /// As the type's invariant says.
    #[inline(always)]
    unsafe fn show<W: Watcher>(watcher: &W, at: At<'a>) {
        // INVARIANT: By this function's requirements.
        watcher.fault(Self { at });
    }

    /// Whose memory it is in; not necessarily the current task's.
    #[inline(always)]
    pub(crate) fn mm(self) -> MmId {
        // SAFETY: By the invariant.
        MmId::of_raw(unsafe { (*self.vma()).vm_mm })
    }

    #[inline(always)]
    fn vma(self) -> *const bindings::vm_area_struct {
        match self.at {
            At::Takeover(entry) => entry.second(),
            At::SmallPage(vmf) | At::HugePage(vmf) | At::Missing(vmf) => {
                // SAFETY: By the invariant.
                unsafe { (*vmf).__bindgen_anon_1.vma }
            }
        }
    }

    /// Where the memory area begins.
    pub(crate) fn area_start(self) -> u64 {
        // SAFETY: By the invariant.
        (unsafe { (*self.vma()).__bindgen_anon_1.__bindgen_anon_1.vm_start }) as u64
    }

    /// The page that was written to, if that is known here.
    pub(crate) fn address(self) -> Option<u64> {
        let (At::SmallPage(vmf) | At::HugePage(vmf)) = self.at else {
            return None;
        };
        // SAFETY: By the invariant.
        Some((unsafe { (*vmf).__bindgen_anon_1.address }) as u64)
    }

    /// Names the page that was written to, if that is one that the swap cache may have.
    pub(crate) fn swap_page(self) -> Option<PageId> {
        let At::SmallPage(vmf) = self.at else {
            return None;
        };
        // SAFETY: By the invariant; only a present page has this outcome.
        Some(PageId(unsafe { sys::kx_fault_folio(vmf) } as usize))
    }

    /// Counts a plain copy in `counter`, for this generation. What is not that, or in an area for which
    /// the fast counter is not open, is given back.
    #[inline(always)]
    pub(crate) fn count(self, counter: &FastCounter, generation: u32) -> Result<(), Self> {
        let At::SmallPage(vmf) = self.at else {
            return Err(self);
        };
        // SAFETY: By the invariant; a `FastCounter` is what C takes it for.
        let rest =
            unsafe { sys::kx_count_copy(vmf, (&raw const *counter).cast_mut(), generation.into()) };
        if rest.is_null() {
            return Ok(());
        }
        // INVARIANT: It is the pointer that was given.
        Err(Self {
            at: At::SmallPage(rest),
        })
    }

    /// What it means for the counts of the program with this name.
    #[inline]
    pub(crate) fn outcome(self, comm: &Comm) -> Outcome {
        let name = comm.as_ptr();
        match self.at {
            // SAFETY: By the invariant, and a `Comm` is as long as the kernel's; likewise for the
            // others.
            At::SmallPage(vmf) => Facts(unsafe { sys::kx_write_fault(vmf, name) }).outcome(),
            At::HugePage(vmf) => {
                // SAFETY: As above.
                Facts(unsafe { sys::kx_huge_write_fault(vmf, name) }).huge_outcome()
            }
            At::Takeover(entry) => {
                // SAFETY: As above.
                Facts(unsafe { sys::kx_takeover(entry.first(), self.vma(), name) }).takeover()
            }
            At::Missing(vmf) => {
                // SAFETY: As above.
                Facts(unsafe { sys::kx_first_write(vmf, name) }).first_write()
            }
        }
    }
}

/// Hands the fault of a function whose first argument is a `struct vm_fault` to the watcher.
///
/// # Safety
///
/// `entry` must be of such a function, and `at` must fit it.
#[inline(always)]
unsafe fn show_fault<W: Watcher>(
    watcher: &W,
    entry: &Entry<'_>,
    at: fn(*const bindings::vm_fault) -> At<'static>,
) {
    // SAFETY: By this function's requirements the pointer is valid. The function's caller holds the
    // VMA and, where there is one, the page.
    unsafe { Fault::show(watcher, at(entry.first())) };
}

/// Declares a hook on a function that handles a fault.
macro_rules! fault_hook {
    ($name:ident, $function:literal, $at:expr) => {
        struct $name<W>(Arc<W>);

        impl<W: Watcher> Hook for $name<W> {
            const FUNCTION: &'static CStr = $function;

            unsafe fn entered(&self, entry: &Entry<'_>) {
                // SAFETY: The function takes a `struct vm_fault *`.
                unsafe { show_fault(&*self.0, entry, $at) }
            }
        }
    };
}

fault_hook!(SmallPage, c"do_wp_page", At::SmallPage);
fault_hook!(HugePage, c"do_huge_pmd_wp_page", At::HugePage);
fault_hook!(CowFault, c"do_cow_fault", At::Missing);
fault_hook!(AnyFault, c"do_fault", At::Missing);

struct Takeover<W>(Arc<W>);

impl<W: Watcher> Hook for Takeover<W> {
    const FUNCTION: &'static CStr = c"folio_move_anon_rmap";

    unsafe fn entered(&self, entry: &Entry<'_>) {
        // SAFETY: The function's caller has locked the folio and holds the VMA.
        unsafe { Fault::show(&*self.0, At::Takeover(*entry)) };
    }
}

struct SwapFreed<W>(Arc<W>);

impl<W: Watcher> Hook for SwapFreed<W> {
    const FUNCTION: &'static CStr = c"swap_cache_del_folio";

    unsafe fn entered(&self, entry: &Entry<'_>) {
        // SAFETY: The current task keeps its address space.
        let mm = unsafe { sys::kx_task_mm(bindings::get_current()) };
        if !mm.is_null() {
            let folio = entry.first();
            // SAFETY: The function's caller has locked the folio.
            let is_mapped = unsafe { sys::kx_folio_is_mapped(folio) } != 0;
            let page = PageId(folio as usize);
            self.0.swap_freed(MmId::of_raw(mm), page, is_mapped);
        }
    }
}

struct Exec<W>(Arc<W>);

impl<W: Watcher> Hook for Exec<W> {
    const FUNCTION: &'static CStr = c"setup_new_exec";

    unsafe fn entered(&self, _entry: &Entry<'_>) {
        // SAFETY: The current task has just been given the new address space, and keeps it.
        let mm = unsafe { sys::kx_task_mm(bindings::get_current()) };
        if !mm.is_null() {
            // SAFETY: As above; `Mm` is a transparent wrapper.
            self.0.exec(unsafe { Mm::from_raw(mm) }, Comm::of_current());
        }
    }
}

struct Fork<W>(Arc<W>);

impl<W: Watcher> Hook for Fork<W> {
    const FUNCTION: &'static CStr = c"wake_up_new_task";

    unsafe fn entered(&self, entry: &Entry<'_>) {
        // SAFETY: The argument is the new task, which does not run yet.
        let (parent, child) = unsafe {
            (
                sys::kx_task_mm(bindings::get_current()),
                sys::kx_task_mm(entry.first()),
            )
        };
        // A thread shares its parent's, a kernel thread has none.
        if !parent.is_null() && !child.is_null() && parent != child {
            // SAFETY: A task that does not run yet cannot give up its address space.
            let child = unsafe { Mm::from_raw(child) };
            self.0.fork(MmId::of_raw(parent), child);
        }
    }
}

struct Exit<W>(Arc<W>);

impl<W: Watcher> Hook for Exit<W> {
    const FUNCTION: &'static CStr = c"exit_mmap";

    unsafe fn entered(&self, entry: &Entry<'_>) {
        // SAFETY: The argument is an address space that has lost its last user and has its areas
        // still; the function's caller gives up the users' common reference after it.
        let mm = unsafe { ExitingMm::new(Mm::from_raw(entry.first())) };
        self.0.exit(&mm);
    }
}

/// Everything is hooked as long as the value lives.
pub(crate) struct Watch<W: Watcher> {
    // Dropped in this order: no fault is counted for an address space whose end was not seen.
    _small_page: HotProbe<SmallPage<W>>,
    _huge_page: Option<FunctionProbe<HugePage<W>>>,
    _takeover: FunctionProbe<Takeover<W>>,
    _swap_freed: Option<FunctionProbe<SwapFreed<W>>>,
    _cow_fault: Option<FunctionProbe<CowFault<W>>>,
    _any_fault: Option<FunctionProbe<AnyFault<W>>>,
    _exec: FunctionProbe<Exec<W>>,
    _fork: FunctionProbe<Fork<W>>,
    _exit: HotProbe<Exit<W>>,
}

impl<W: Watcher> Watch<W> {
    /// Hooks everything. Events come before this returns.
    ///
    /// # Errors
    ///
    /// [`ENOENT`] if the kernel lacks a function that cannot be done without; [`EBUSY`] if tracing is
    /// switched off; [`ENOMEM`].
    pub(crate) fn new(watcher: &Arc<W>) -> Result<Self> {
        let to = || watcher.clone();
        // The reverse order, for the same reason.
        // Not for speed: the end of a root has some work, which need not be done without preemption.
        let exit = HotProbe::new(Exit(to()))?;
        let fork = FunctionProbe::new(Fork(to()))?;
        let exec = FunctionProbe::new(Exec(to()))?;
        let cow_fault = optional(FunctionProbe::new(CowFault(to())))?;
        let any_fault = match cow_fault {
            Some(_) => None,
            None => optional(FunctionProbe::new(AnyFault(to())))?,
        };
        Ok(Self {
            _takeover: FunctionProbe::new(Takeover(to()))?,
            _swap_freed: optional(FunctionProbe::new(SwapFreed(to())))?,
            _huge_page: optional(FunctionProbe::new(HugePage(to())))?,
            _small_page: HotProbe::new(SmallPage(to()))?,
            _cow_fault: cow_fault,
            _any_fault: any_fault,
            _exec: exec,
            _fork: fork,
            _exit: exit,
        })
    }
}

/// A function that the kernel lacks is no error.
fn optional<T>(probe: Result<T>) -> Result<Option<T>> {
    match probe {
        Err(error) if error == ENOENT => Ok(None),
        other => other.map(Some),
    }
}
