// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Who may have one more member, so that a crowd of one program leaves room for the others.
//!
//! Each program has a few places of its own, whatever the others do. Beyond those it takes from a pool,
//! up to [`MOST`] members and never more than it leaves to the others: a program that is alone can take
//! half of the pool, the next one half of the rest, and so on.

use core::ops::DerefMut;

/// Most members of one program.
pub const MOST: u32 = 32768;

/// Places that each program has for itself.
pub const OWN: u32 = 16;

/// See the module's documentation.
pub struct Quota<B> {
    /// How many members each program has.
    members: B,
    /// Places of the pool that are free.
    pool: u32,
}

impl<B: DerefMut<Target = [u32]>> Quota<B> {
    /// For as many programs as `members`, which has to be zero, is long. Of the pool there must be as
    /// much as there are places besides those that the programs have for themselves.
    pub fn new(members: B, pool: u32) -> Self {
        Self { members, pool }
    }

    /// Takes a place for one more member of a program, if it may have that.
    pub fn join(&mut self, program: u32) -> bool {
        let Some(members) = self.members.get_mut(program as usize) else {
            return false;
        };
        if let Some(taken) = members.checked_sub(OWN) {
            if *members >= MOST || taken >= self.pool {
                return false;
            }
            self.pool = self.pool.saturating_sub(1);
        }
        *members = members.saturating_add(1);
        true
    }

    /// Gives back the place of a member.
    pub fn leave(&mut self, program: u32) {
        let Some(members) = self.members.get_mut(program as usize) else {
            return;
        };
        *members = members.saturating_sub(1);
        if *members >= OWN {
            self.pool = self.pool.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    const POOL: u32 = 80_000;

    fn quota(programs: usize) -> Quota<Vec<u32>> {
        Quota::new(vec![0; programs], POOL)
    }

    /// Lets a program grow until it may not.
    fn fill(quota: &mut Quota<Vec<u32>>, program: u32) -> u32 {
        while quota.join(program) {}
        quota.members[program as usize]
    }

    #[test]
    fn a_program_alone_gets_the_most_and_others_less_and_less_but_never_nothing() {
        let mut quota = quota(100);
        assert_eq!(fill(&mut quota, 0), MOST);
        let mut before = MOST;
        for program in 1..100 {
            let got = fill(&mut quota, program);
            assert!((OWN..=before).contains(&got), "{program}: {got}");
            before = got;
        }
        assert_eq!(before, OWN);
        assert!(!quota.join(100), "there is no such program");
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let mut quota = quota(2);
        fill(&mut quota, 0);
        for _ in 0..100 {
            quota.leave(0);
        }
        assert_eq!(fill(&mut quota, 0), MOST);
        (0..MOST).for_each(|_| quota.leave(0));
        assert_eq!((quota.pool, quota.members[0]), (POOL, 0));
    }

    proptest! {
        #[test]
        fn nobody_has_more_than_there_is(steps in prop::collection::vec((0_u32..4, 0_u32..3, 1..300), 1..100)) {
            let mut quota = Quota::new(vec![0; 4], 500);
            for (program, kind, count) in steps {
                for _ in 0..count {
                    if kind == 0 {
                        if quota.members[program as usize] > 0 {
                            quota.leave(program);
                        }
                    } else {
                        let is_poor = quota.members[program as usize] < OWN;
                        prop_assert!(quota.join(program) || !is_poor);
                    }
                }
                let taken: u32 = quota.members.iter().map(|members| members.saturating_sub(OWN)).sum();
                prop_assert_eq!(taken + quota.pool, 500);
            }
        }
    }
}
