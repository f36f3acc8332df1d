// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Which execution of which program an address space belongs to, in one word.

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The program's number.
    pub program: u32,
    /// Its execution. The numbers wrap around; two executions of a program that run at the same
    /// time would have to be 2³² apart to be confused.
    pub generation: u32,
}

impl Membership {
    /// The word.
    pub const fn pack(self) -> u64 {
        (self.program as u64) << 32 | self.generation as u64
    }

    /// What [`Self::pack`] made the word of.
    pub const fn unpack(word: u64) -> Self {
        Self {
            program: (word >> 32) as u32,
            generation: word as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_names_one_membership(program: u32, generation: u32) {
            let membership = Membership { program, generation };
            prop_assert_eq!(Membership::unpack(membership.pack()), membership);
        }
    }
}
