//! Random numbers whose seed is printed, so that a failure can be repeated, as far as the scheduler allows.

/// A generator of random numbers.
pub struct Random(fastrand::Rng);

impl Random {
    /// Returns a generator with the [`seed`] of this run.
    pub fn new() -> Self {
        Self::with_seed(seed())
    }

    pub fn with_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit)
    }

    pub fn byte(&mut self) -> u8 {
        self.0.u8(..)
    }
}

/// Returns the seed in `SHM_SEGMENT_SEED`, or a new one, and prints it.
pub fn seed() -> u64 {
    let seed = variable("SHM_SEGMENT_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SHM_SEGMENT_SEED={seed}");
    seed
}

/// Returns the number of rounds, which `SHM_SEGMENT_ROUNDS` overrides.
pub fn rounds(default: u64) -> u64 {
    variable("SHM_SEGMENT_ROUNDS").unwrap_or(default)
}

/// Returns the number in a variable of the environment, if it is set.
pub fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}
