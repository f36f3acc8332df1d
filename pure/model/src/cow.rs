// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What a copy-on-write fault is.
//!
//! A CoW fault is a write fault that the kernel answers on a page of a private mapping that was
//! present and write-protected because others may see it: the page is copied, taken over because
//! the others are gone, or, if it was the zero page, filled anew. A page that is protected for
//! another reason and already belongs to the writer alone (soft-dirty tracking, userfaultfd) makes
//! no CoW fault, nor does a shared mapping, nor KSM when it gives pages back.
//!
//! Faults are counted, not pages, and where they begin: two threads that write to the same page at
//! the same time may both copy it, and one copy is thrown away. The kernel's own taskstats
//! (`WPCOPY`) counts so, too.
//!
//! [`Facts`] is what is known at the entry of the kernel's functions; [`Facts::outcome`] says what
//! it means.

/// Kinds of what a [`Counts`] keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The page was copied.
    Copied,
    /// The page was taken over: nobody else had it any more.
    Reused,
    /// The zero page, small or huge, was replaced by a page of its own.
    ZeroFilled,
    /// A huge page was split so that one of its small pages could be written to. The fault is also
    /// counted as what became of the small page.
    Split,
    /// A private page of a file that was not present was written to and copied at once. Not a CoW
    /// fault in the sense above: the page was not present.
    FirstWrite,
    /// Another task wrote, through ptrace or `/proc/PID/mem`. Not counted as any other kind.
    Remote,
}

/// How many faults there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// See [`Kind::Copied`].
    pub copied: u64,
    /// See [`Kind::Reused`].
    pub reused: u64,
    /// See [`Kind::ZeroFilled`].
    pub zero_filled: u64,
    /// See [`Kind::Split`].
    pub split: u64,
    /// See [`Kind::FirstWrite`].
    pub first_write: u64,
    /// See [`Kind::Remote`].
    pub remote: u64,
}

impl Counts {
    /// Nothing counted.
    pub const ZERO: Self = Self {
        copied: 0,
        reused: 0,
        zero_filled: 0,
        split: 0,
        first_write: 0,
        remote: 0,
    };

    /// CoW faults: copies, take-overs and fillings.
    pub const fn faults(&self) -> u64 {
        self.copied
            .saturating_add(self.reused)
            .saturating_add(self.zero_filled)
    }

    /// Counts more of a kind.
    #[inline]
    pub fn add(&mut self, kind: Kind, more: u64) {
        let count = self.of(kind);
        *count = count.saturating_add(more);
    }

    /// A page that was counted as `was` turned out to be taken over. A copy that was not counted here
    /// stays what it is where it was: the number of faults never changes.
    pub fn turn_into_reuse(&mut self, was: Kind) {
        let count = self.of(was);
        if was == Kind::Copied && *count == 0 {
            return;
        }
        *count = count.saturating_sub(1);
        self.add(Kind::Reused, 1);
    }

    /// Adds each count of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.copied = self.copied.saturating_add(other.copied);
        self.reused = self.reused.saturating_add(other.reused);
        self.zero_filled = self.zero_filled.saturating_add(other.zero_filled);
        self.split = self.split.saturating_add(other.split);
        self.first_write = self.first_write.saturating_add(other.first_write);
        self.remote = self.remote.saturating_add(other.remote);
    }

    #[inline]
    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Copied => &mut self.copied,
            Kind::Reused => &mut self.reused,
            Kind::ZeroFilled => &mut self.zero_filled,
            Kind::Split => &mut self.split,
            Kind::FirstWrite => &mut self.first_write,
            Kind::Remote => &mut self.remote,
        }
    }
}

/// What is known of a write-protection fault before the kernel answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts(pub u32);

impl Facts {
    /// A shared mapping.
    pub const SHARED: u32 = 1;
    /// Not a write: a read, or the kernel wants the page unshared (long-term pins, KSM).
    pub const UNSHARE: u32 = 1 << 1;
    /// A userfaultfd has to give its leave first; the fault comes again.
    pub const USERFAULTFD: u32 = 1 << 2;
    /// Another task than the owner of the memory.
    pub const REMOTE: u32 = 1 << 3;
    /// The zero page.
    pub const ZERO: u32 = 1 << 4;
    /// An anonymous page.
    pub const ANONYMOUS: u32 = 1 << 5;
    /// It belongs to this address space alone, and the kernel knows it.
    pub const EXCLUSIVE: u32 = 1 << 6;
    /// Part of a large folio that is mapped and held by this address space alone: the kernel finds
    /// that out now and takes it over.
    pub const SOLE: u32 = 1 << 7;
    /// Not part of a large folio.
    pub const SMALL: u32 = 1 << 8;
    /// The memory's owner does not bear the name of the program that is looked at.
    pub const STRANGE: u32 = 1 << 9;
    /// A further attempt at a fault that was seen before.
    pub const AGAIN: u32 = 1 << 10;

    /// As [`Self::SOLE`], but that the swap cache has it, too.
    pub const SWAP: u32 = 1 << 11;

    /// Whether all of `facts` hold.
    pub const fn has(self, facts: u32) -> bool {
        self.0 & facts == facts
    }

    /// What is to be counted at the entry of the kernel's handler of write-protected small pages.
    ///
    /// An anonymous page that is not exclusive counts as copied; if the kernel takes it over
    /// instead, it says so a moment later (see [`Self::takeover`]).
    pub const fn outcome(self) -> Outcome {
        if self.has(Self::STRANGE) {
            return Outcome::Nothing;
        }
        if self.has(Self::UNSHARE) {
            return Outcome::Unshare;
        }
        if self.0 & (Self::SHARED | Self::USERFAULTFD | Self::EXCLUSIVE) != 0 {
            return Outcome::Nothing;
        }
        if self.has(Self::REMOTE) {
            return Outcome::Count(Kind::Remote);
        }
        if self.has(Self::SWAP) {
            return Outcome::Swap;
        }
        Outcome::Count(if self.has(Self::ZERO) {
            Kind::ZeroFilled
        } else if self.has(Self::SOLE) {
            Kind::Reused
        } else {
            Kind::Copied
        })
    }

    /// The same at the entry of the handler of write-protected huge pages.
    ///
    /// It replaces the huge zero page by a huge page if it can have one. Others it takes over or
    /// splits; they count as split until the kernel says that it takes them over.
    pub const fn huge_outcome(self) -> Outcome {
        if self.has(Self::STRANGE) {
            return Outcome::Nothing;
        }
        if self.has(Self::UNSHARE) {
            return Outcome::Unshare;
        }
        if self.0 & (Self::SHARED | Self::EXCLUSIVE) != 0 {
            return Outcome::Nothing;
        }
        match (self.has(Self::ZERO), self.has(Self::REMOTE)) {
            (true, false) => Outcome::HugeZero,
            (true, true) => Outcome::Count(Kind::Remote),
            (false, _) => Outcome::Count(Kind::Split),
        }
    }

    /// What is to be counted at the entry of the handler of pages that are not present.
    pub const fn first_write(self) -> Outcome {
        let skip = Self::STRANGE | Self::SHARED | Self::UNSHARE | Self::AGAIN;
        if self.0 & skip != 0 {
            return Outcome::Nothing;
        }
        Outcome::Count(if self.has(Self::REMOTE) {
            Kind::Remote
        } else {
            Kind::FirstWrite
        })
    }

    /// What is to be counted when the kernel makes an anonymous page exclusive.
    pub const fn takeover(self) -> Outcome {
        if self.0 & (Self::STRANGE | Self::EXCLUSIVE) != 0 {
            return Outcome::Nothing;
        }
        Outcome::Takeover {
            was: if self.has(Self::SMALL) {
                Kind::Copied
            } else {
                Kind::Split
            },
            is_remote: self.has(Self::REMOTE),
        }
    }
}

/// What a fault means for the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not a CoW fault.
    Nothing,
    /// It is not a write, and the take-over that may follow is not one either.
    Unshare,
    /// One more of this kind.
    Count(Kind),
    /// The huge zero page is replaced, or else split: then a fault at the same address on the
    /// small zero page follows, and that one is [`Kind::Split`].
    HugeZero,
    /// The page is copied; or taken over, if the swap cache lets go of it next.
    Swap,
    /// The page that was counted as `was` is taken over.
    Takeover {
        /// [`Kind::Copied`] or [`Kind::Split`].
        was: Kind,
        /// By another task; a small page was then counted as [`Kind::Remote`].
        is_remote: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(facts: u32) -> Outcome {
        Facts(facts).outcome()
    }

    #[test]
    fn each_fact_has_a_bit_of_its_own() {
        let facts = [
            Facts::SHARED,
            Facts::UNSHARE,
            Facts::USERFAULTFD,
            Facts::REMOTE,
            Facts::ZERO,
            Facts::ANONYMOUS,
            Facts::EXCLUSIVE,
            Facts::SOLE,
            Facts::SMALL,
            Facts::STRANGE,
            Facts::AGAIN,
            Facts::SWAP,
        ];
        assert_eq!(facts, core::array::from_fn(|bit| 1 << bit));
    }

    #[test]
    fn each_row_of_the_table_of_faults_has_its_outcome() {
        let anonymous = Facts::ANONYMOUS;
        assert_eq!(outcome(anonymous), Outcome::Count(Kind::Copied));
        assert_eq!(outcome(Facts::ZERO), Outcome::Count(Kind::ZeroFilled));
        assert_eq!(outcome(0), Outcome::Count(Kind::Copied), "a file's page");
        assert_eq!(outcome(Facts::SHARED), Outcome::Nothing);
        assert_eq!(outcome(anonymous | Facts::EXCLUSIVE), Outcome::Nothing);
        assert_eq!(outcome(Facts::USERFAULTFD), Outcome::Nothing);
        assert_eq!(outcome(Facts::UNSHARE), Outcome::Unshare);
        assert_eq!(
            outcome(anonymous | Facts::REMOTE),
            Outcome::Count(Kind::Remote)
        );
        assert_eq!(
            outcome(anonymous | Facts::SOLE),
            Outcome::Count(Kind::Reused)
        );
        assert_eq!(outcome(anonymous | Facts::SWAP), Outcome::Swap);
    }

    #[test]
    fn a_huge_page_is_split_unless_it_is_taken_over_or_zero() {
        let huge = |facts| Facts(facts).huge_outcome();
        assert_eq!(huge(0), Outcome::Count(Kind::Split));
        assert_eq!(huge(Facts::ZERO), Outcome::HugeZero);
        assert_eq!(huge(Facts::EXCLUSIVE), Outcome::Nothing);
        assert_eq!(huge(Facts::UNSHARE), Outcome::Unshare);
        let takeover = Facts(0).takeover();
        let (was, is_remote) = (Kind::Split, false);
        assert_eq!(takeover, Outcome::Takeover { was, is_remote });
    }

    #[test]
    fn only_the_first_private_write_to_a_missing_page_counts() {
        let first = |facts| Facts(facts).first_write();
        assert_eq!(first(0), Outcome::Count(Kind::FirstWrite));
        assert_eq!(first(Facts::REMOTE), Outcome::Count(Kind::Remote));
        for not in [Facts::SHARED, Facts::UNSHARE, Facts::AGAIN] {
            assert_eq!(first(not), Outcome::Nothing);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_counted_for_programs_of_another_name(facts in 0_u32..4096) {
            let facts = Facts(facts | Facts::STRANGE);
            for outcome in [
                facts.outcome(),
                facts.huge_outcome(),
                facts.first_write(),
                facts.takeover(),
            ] {
                prop_assert_eq!(outcome, Outcome::Nothing);
            }
        }

        #[test]
        fn nothing_is_counted_for_a_page_that_is_not_shared_by_copying(facts in 0_u32..512) {
            let skip = Facts::SHARED | Facts::USERFAULTFD | Facts::EXCLUSIVE;
            if facts & skip != 0 && facts & Facts::UNSHARE == 0 {
                prop_assert_eq!(outcome(facts), Outcome::Nothing);
            }
        }

        #[test]
        fn what_another_task_does_is_never_a_fault_of_the_owner(facts in 0_u32..512) {
            let facts = Facts(facts | Facts::REMOTE);
            for outcome in [facts.outcome(), facts.huge_outcome()] {
                let allowed = [
                    Outcome::Nothing,
                    Outcome::Unshare,
                    Outcome::Count(Kind::Remote),
                    Outcome::Count(Kind::Split),
                ];
                prop_assert!(allowed.contains(&outcome), "{:?}", outcome);
            }
        }

        #[test]
        fn a_take_over_never_changes_the_number_of_faults(copied: u64, reused: u32) {
            let mut counts = Counts { copied, reused: reused.into(), ..Counts::ZERO };
            let before = counts.faults();
            counts.turn_into_reuse(Kind::Copied);
            prop_assert_eq!(counts.faults(), before);
        }
    }
}
