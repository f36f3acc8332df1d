// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers that can be had again.

use anyhow::{Context, Result};
pub use fastrand::Rng;

/// Names the seed to begin with.
const SEED: &str = "PAGELENS_SEED";

/// Random numbers from a seed that is printed. Whoever sets `PAGELENS_SEED` to it has the same again.
///
/// # Errors
/// If that variable is no number.
pub fn random() -> Result<Rng> {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().context(SEED)?,
        Err(_) => fastrand::u64(..),
    };
    println!("{SEED}={seed}");
    Ok(Rng::with_seed(seed))
}
