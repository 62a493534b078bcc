//! What is counted as it happens, because a snapshot does not show it.
use nvshare_protocol::{Bytes, Nanos};

/// Bytes that have gone into a device, and out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub into: Bytes,
    pub out: Bytes,
}

impl Moved {
    pub fn add(&mut self, other: Self) {
        self.into = self.into.saturating_add(other.into);
        self.out = self.out.saturating_add(other.out);
    }
}

/// Bytes that moved without a copy, by the tenants' word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Out: the host copy was still right.
    pub unchanged: Bytes,
    /// They were zero.
    pub zero_out: Bytes,
    pub zero_in: Bytes,
}

impl Skipped {
    pub fn add(&mut self, other: Self) {
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
        self.zero_out = self.zero_out.saturating_add(other.zero_out);
        self.zero_in = self.zero_in.saturating_add(other.zero_in);
    }
}

/// Upper bounds of the buckets of [`Durations`], in milliseconds.
const BOUNDS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// How many durations there were of which length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// The last one counts those beyond the last bound.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Nanos,
}

impl Durations {
    pub fn add(&mut self, duration: Nanos) {
        let fits = |bound: &u64| duration <= Nanos::from_millis(*bound);
        self.buckets[BOUNDS.iter().position(fits).unwrap_or(BOUNDS.len())] += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Upper bounds in seconds with how many there were up to each and beyond the one before it.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e3).chain([f64::INFINITY]);
        bounds.zip(self.buckets).collect()
    }
}

/// What is counted of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub moved: Moved,
    pub skipped: Skipped,
    /// From a grant until the memory was back.
    pub fetch: Durations,
    /// From a revocation until nothing was in flight.
    pub drain: Durations,
    /// From then until the memory was moved out.
    pub evict: Durations,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_by_the_first_bound_that_holds_it() {
        let mut durations = Durations::default();
        for millis in [0, 5, 6, 30_000, 86_400_000] {
            durations.add(Nanos::from_millis(millis));
        }
        let counted: Vec<_> = durations.buckets().into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counted, [(0.005, 2), (0.01, 1), (30.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((durations.count(), durations.sum_seconds()), (5, 86_430.011));
    }
}
