//! Random numbers that are the same on every machine and with every release: an upgrade of a library must not
//! change the stories of a seed.

/// SplitMix64 (Steele, Lea and Flood, 2014): ten lines, one number as state, and good enough for stories.
/// Never for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Creates one of many independent streams of a seed, by name. The draws of one part change nothing for
    /// another.
    pub fn of(seed: u64, stream: &str) -> Self {
        // FNV-1a over the name, so that streams differ from their first number on.
        let start = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = stream
            .bytes()
            .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(mixed)
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to but not including `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The bias of the remainder is one in billions here.
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % end).unwrap_or(0)
    }

    /// Returns a number from `from` to `to`, both included.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0).saturating_add(1);
        from.saturating_add(i64::try_from(self.number() % width).unwrap_or(0))
    }

    /// Returns true in `part` of `whole` cases.
    pub fn chance(&mut self, part: usize, whole: usize) -> bool {
        self.below(whole) < part
    }

    /// Shuffles a list.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

    /// Returns the numbers from 0 up to but not including `end`, in random order.
    pub fn order(&mut self, end: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..end).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut random = Random(0);
        assert_eq!(
            (random.number(), random.number()),
            (0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4),
            "the published first numbers of SplitMix64"
        );
    }

    #[test]
    fn streams_of_one_seed_differ_and_bounds_hold() {
        let (mut one, mut other) = (Random::of(1, "people"), Random::of(1, "sports"));
        assert_ne!(one.number(), other.number());
        assert!((0..1000).all(|_| (3..=5).contains(&one.between(3, 5))));
        assert!((0..1000).all(|_| other.below(7) < 7));
        let mut order = one.order(20);
        order.sort_unstable();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }
}
