// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures that are told of a process, of its areas, and of many together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One list of all figures: the record, their names, and ways from one to the other.
macro_rules! figures {
    ($($(#[doc = $doc:literal])+ $figure:ident $field:ident $key:literal,)+) => {
        /// What there is of some memory, in bytes. What the source cannot know is `None`, never 0.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct Figures {
            $($(#[doc = $doc])+ pub $field: Option<u64>,)+
        }

        /// Names of the figures.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Figure {
            $($(#[doc = $doc])+ $figure,)+
        }

        impl Figure {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$figure,)+];

            /// The word for it, as in `--columns`; with `_bytes` behind it the key in JSON.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$figure => $key,)+
                }
            }

            /// What it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$figure => concat!($($doc),+).trim_ascii_start(),)+
                }
            }
        }

        impl Figures {
            /// One of them.
            #[must_use]
            pub fn get(&self, figure: Figure) -> Option<u64> {
                match figure {
                    $(Figure::$figure => self.$field,)+
                }
            }

            /// One of them, to be changed.
            pub fn get_mut(&mut self, figure: Figure) -> &mut Option<u64> {
                match figure {
                    $(Figure::$figure => &mut self.$field,)+
                }
            }
        }
    };
}

figures! {
    /// All addresses, present or not (`VmSize`).
    Total total_bytes "total",
    /// Resident: in memory and mapped (RSS). Shared pages count in full for each that has them.
    Present present_bytes "present",
    /// The proportional set size: each page divided by how often it is mapped. Adds up over processes.
    Pss pss_bytes "pss",
    /// What nobody else maps: what would be free again if it ended.
    Uss uss_bytes "uss",
    /// Of `present`: anonymous, such as heaps and stacks.
    Anonymous anonymous_bytes "anonymous",
    /// Of `present`: pages of files, such as programs and libraries.
    File file_bytes "file",
    /// Of `present`: tmpfs and other shared memory.
    Shmem shmem_bytes "shmem",
    /// Swapped out.
    Swap swap_bytes "swap",
    /// Page tables.
    PageTable page_table_bytes "page_table",
    /// Kernel stacks of its threads.
    KernelStack kernel_stack_bytes "kernel_stack",
    /// Of `pss`: anonymous.
    PssAnonymous pss_anonymous_bytes "pss_anonymous",
    /// Of `pss`: pages of files.
    PssFile pss_file_bytes "pss_file",
    /// Of `pss`: shared memory.
    PssShmem pss_shmem_bytes "pss_shmem",
    /// Of `swap`, each page divided by how often it is mapped.
    SwapPss swap_pss_bytes "swap_pss",
    /// Of `present`: mapped by entries of 2 MiB or 1 GiB.
    Huge huge_bytes "huge",
    /// hugetlb pages, which are in no other figure.
    Hugetlb hugetlb_bytes "hugetlb",
    /// Of `pss`: locked in memory.
    Locked locked_bytes "locked",
    /// Of `present`: merged by KSM.
    Ksm ksm_bytes "ksm",
    /// Of `present`: the kernel may throw it away (`MADV_FREE`).
    LazyFree lazy_free_bytes "lazy_free",
    /// Of `present`: used since somebody last reset that.
    Referenced referenced_bytes "referenced",
    /// The zero page, which costs nothing.
    Zero zero_bytes "zero",
}

impl Figure {
    /// The figure of this word.
    #[must_use]
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|figure| figure.key() == key)
    }
}

impl Figures {
    /// The sum of both. What one of them does not know, the sum does not know.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for &figure in Figure::ALL {
            let slot = sum.get_mut(figure);
            *slot = slot
                .zip(other.get(figure))
                .map(|(a, b)| a.saturating_add(b));
        }
        sum
    }

    /// The sum of some, and of none: 0 of everything.
    #[must_use]
    pub fn sum<'a>(of: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut nothing = Self::default();
        for &figure in Figure::ALL {
            *nothing.get_mut(figure) = Some(0);
        }
        of.into_iter().fold(nothing, |sum, each| sum.plus(each))
    }

    /// The same without what is not in `wanted`.
    #[must_use]
    pub fn only(mut self, wanted: FigureSet) -> Self {
        for &figure in Figure::ALL {
            if !wanted.has(figure) {
                *self.get_mut(figure) = None;
            }
        }
        self
    }
}

/// Some of the figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FigureSet(u32);

impl FigureSet {
    /// All that there are.
    #[must_use]
    pub fn all() -> Self {
        Figure::ALL.iter().copied().collect()
    }

    /// Whether one is among them.
    #[must_use]
    pub fn has(self, figure: Figure) -> bool {
        self.0 & 1 << figure as u32 != 0
    }

    /// Whether any of these is.
    #[must_use]
    pub fn has_any(self, figures: &[Figure]) -> bool {
        figures.iter().any(|&figure| self.has(figure))
    }

    /// Those that are in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = Figure> {
        let all = Figure::ALL.iter().copied();
        all.filter(move |&figure| self.has(figure))
    }
}

impl FromIterator<Figure> for FigureSet {
    fn from_iter<I: IntoIterator<Item = Figure>>(figures: I) -> Self {
        let bit = |set, figure: Figure| set | 1 << figure as u32;
        Self(figures.into_iter().fold(0, bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_does_not_know_the_sum_does_not_know() {
        let mut one = Figures::sum([]);
        one.pss_bytes = Some(3);
        let mut two = one;
        two.uss_bytes = None;
        let sum = Figures::sum([&one, &two]);
        assert_eq!((sum.pss_bytes, sum.uss_bytes), (Some(6), None));
        assert_eq!(Figures::sum([]).swap_bytes, Some(0));
    }

    #[test]
    fn each_has_a_word_and_a_place_of_its_own() {
        for &figure in Figure::ALL {
            assert_eq!(Figure::named(figure.key()), Some(figure));
            assert!(!figure.meaning().starts_with(' '));
            let one: FigureSet = [figure].into_iter().collect();
            assert!(one.iter().eq([figure]));
        }
        assert_eq!(FigureSet::all().iter().count(), Figure::ALL.len());
    }

    #[test]
    fn keys_in_json_are_the_words_with_their_unit() {
        let text = format!("{:?}", Figures::default());
        for figure in Figure::ALL {
            assert!(text.contains(&format!(" {}_bytes: None", figure.key())));
        }
    }
}
