// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel answered.

use std::error::Error;
use std::io;

/// The errno behind an error, if it is of the kernel's.
#[must_use]
pub fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    #[test]
    fn it_is_found_behind_other_errors() {
        let refused = Err::<(), _>(io::Error::from_raw_os_error(libc::EPERM));
        let call = "pf_cleanup";
        let refused = refused.map_err(|source| pagelens::Error::Call { call, source });
        let refused = refused.context("cleaning up").unwrap_err();
        assert_eq!(super::errno(refused.as_ref()), Some(libc::EPERM));
        let other = io::Error::other("nothing of the kernel's");
        assert_eq!(super::errno(&other), None);
    }
}
