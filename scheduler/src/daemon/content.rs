//! How a tenant's memory moves on one device, by its own word: what its counters grow by, as far as that is possible.
use crate::metrics::counts::{Moved, Skipped};
use nvshare_protocol::tenant::Moves;
use nvshare_protocol::{Bytes, Nanos};

/// No link is faster, and no GPU looks at its memory faster, in bytes a second.
const LINK_RATE: u128 = 1_000_000_000_000;
const LOOK_RATE: u128 = 100_000_000_000_000;

/// What a tenant has told of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The most that each counter has said, and what is away and clean now.
    said: Moves,
    /// What of that is believed and counted.
    pub moved: Moved,
    pub skipped: Skipped,
}

/// What a report may add.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The device's memory: more than this does not move between two reports.
    pub capacity: Bytes,
    /// Since the tenant joined.
    pub time: Nanos,
}

impl Bounds {
    fn growth(&self, said: Bytes, before: Bytes, counted: Bytes, rate: u128) -> Bytes {
        let ever = u64::try_from(rate * u128::from(self.time.0) / 1_000_000_000).unwrap_or(u64::MAX);
        said.saturating_sub(before).min(self.capacity).min(Bytes(ever).saturating_sub(counted))
    }
}

impl Content {
    /// Of a process that had a scheduler before, whose counters go on: they count from here.
    pub fn since(said: Moves) -> Self {
        Self { said, ..Self::default() }
    }

    /// Takes a report; what it adds.
    pub fn take(&mut self, said: Moves, bounds: Bounds) -> (Moved, Skipped) {
        let before = self.said;
        let copied = |said, before, counted| bounds.growth(said, before, counted, LINK_RATE);
        let looked_at = |said, before, counted| bounds.growth(said, before, counted, LOOK_RATE);
        let moved = Moved {
            into: copied(said.copied_in, before.copied_in, self.moved.into),
            out: copied(said.copied_out, before.copied_out, self.moved.out),
        };
        let skipped = Skipped {
            unchanged: looked_at(said.unchanged, before.unchanged, self.skipped.unchanged),
            zero_out: looked_at(said.zero_out, before.zero_out, self.skipped.zero_out),
            zero_in: looked_at(said.zero_in, before.zero_in, self.skipped.zero_in),
        };
        self.moved.add(moved);
        self.skipped.add(skipped);
        self.said = Moves {
            copied_out: said.copied_out.max(before.copied_out),
            unchanged: said.unchanged.max(before.unchanged),
            zero_out: said.zero_out.max(before.zero_out),
            copied_in: said.copied_in.max(before.copied_in),
            zero_in: said.zero_in.max(before.zero_in),
            ..said
        };
        (moved, skipped)
    }

    /// Of so much that is away and so much that is resident: what a return has to copy, and what is clean.
    pub fn gauges(&self, away: Bytes, resident: Bytes) -> (Bytes, Bytes) {
        (self.said.away_content.min(away), self.said.clean.min(resident))
    }

    /// What the core is told: the counters as far as they are believed.
    pub fn believed(&self) -> Moves {
        let Self { said, moved, skipped } = self;
        Moves {
            copied_out: moved.out,
            unchanged: skipped.unchanged,
            zero_out: skipped.zero_out,
            copied_in: moved.into,
            zero_in: skipped.zero_in,
            ..*said
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn bounds(millis: u64) -> Bounds {
        Bounds { capacity: Bytes(16 * GIB), time: Nanos::from_millis(millis) }
    }

    fn all(bytes: u64) -> Moves {
        let bytes = Bytes(bytes);
        Moves {
            copied_out: bytes,
            unchanged: bytes,
            zero_out: bytes,
            copied_in: bytes,
            zero_in: bytes,
            ..Moves::default()
        }
    }

    fn counted(content: &Content) -> [u64; 5] {
        let Content { moved, skipped, .. } = content;
        [moved.into, moved.out, skipped.unchanged, skipped.zero_out, skipped.zero_in].map(|bytes| bytes.0)
    }

    #[test]
    fn what_counters_grow_by_is_counted() {
        let mut content = Content::default();
        content.take(all(3 * GIB), bounds(60_000));
        content.take(all(5 * GIB), bounds(60_000));
        assert_eq!(counted(&content), [5 * GIB; 5]);
        assert_eq!(content.believed(), all(5 * GIB));
    }

    #[test]
    fn a_counter_that_falls_and_rises_counts_once() {
        let mut content = Content::default();
        for said in [4, 0, 4, 1, 4, 5] {
            content.take(all(said * GIB), bounds(60_000));
        }
        assert_eq!(counted(&content), [5 * GIB; 5]);
    }

    #[test]
    fn a_jump_counts_as_far_as_the_device_and_the_time_allow() {
        let mut content = Content::default();
        content.take(all(u64::MAX), bounds(60_000));
        assert_eq!(counted(&content), [16 * GIB; 5], "no more than the device has");
        let mut content = Content::default();
        // A terabyte a second, for two milliseconds.
        for n in 1..9 {
            content.take(all(n * GIB), bounds(2));
        }
        let looked_at = 8 * GIB;
        assert_eq!(counted(&content), [2_000_000_000, 2_000_000_000, looked_at, looked_at, looked_at]);
        let mut content = Content::default();
        content.take(all(GIB), bounds(0));
        assert_eq!(counted(&content), [0; 5], "no time has passed");
    }

    #[test]
    fn a_process_that_had_a_scheduler_before_counts_on() {
        let mut content = Content::since(all(1 << 45));
        content.take(all((1 << 45) + GIB), bounds(60_000));
        assert_eq!(counted(&content), [GIB; 5]);
    }

    #[test]
    fn what_is_away_and_clean_is_part_of_what_there_is() {
        let mut content = Content::default();
        let said = Moves { away_content: Bytes::MAX, clean: Bytes::MAX, ..Moves::default() };
        content.take(said, bounds(1));
        assert_eq!(content.gauges(Bytes(3), Bytes(4)), (Bytes(3), Bytes(4)));
    }
}
