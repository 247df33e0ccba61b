//! Numbers that look random.

/// The same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// From the environment's variable, or another each time. Tell the seed, so that a failure can be repeated.
    pub fn from_env(variable: &str) -> Self {
        let given = std::env::var(variable).ok();
        let seed = given.map_or_else(|| std::process::id().into(), |text| text.parse().expect("a seed is a number"));
        println!("{variable}={seed}");
        Self(seed)
    }

    /// One of `0..sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
    /// Another sequence, so that what one does does not depend on how often another rolled.
    pub fn fork(&mut self, salt: u64) -> Self {
        Self(self.roll(u64::MAX) ^ salt.wrapping_mul(0xd134_2543_de82_ef95))
    }
}
