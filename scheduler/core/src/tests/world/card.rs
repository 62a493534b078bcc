//! A GPU's memory, its two copy engines, and how much of the time somebody computes on it.
use nvshare_protocol::{Bytes, Nanos};

/// Which way memory moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
}

#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub capacity: Bytes,
    /// Of each copy engine, bytes a second.
    pub bandwidth: u64,
}

/// 16 GiB behind 16 GB/s each way.
pub const SMALL: Model = Model { capacity: Bytes(16 << 30), bandwidth: 16_000_000_000 };
/// An H200: 141 GB behind 50 GB/s each way.
pub const H200: Model = Model { capacity: Bytes(140 << 30), bandwidth: 50_000_000_000 };

#[derive(Clone, Debug)]
pub struct Card {
    pub model: Model,
    /// What the driver gives away, and what of it is taken.
    room: u64,
    taken: u64,
    /// When each engine has done what it was given.
    free_at: [Nanos; 2],
    pub moved: [u64; 2],
    /// How many compute now, and since when anybody does.
    users: u32,
    since: Nanos,
    useful: Nanos,
}

impl Card {
    pub fn new(model: Model, reserve: Bytes) -> Self {
        let room = nvshare_protocol::tenant::usable(model.capacity, reserve).0;
        let (free_at, moved) = ([Nanos::ZERO; 2], [0; 2]);
        Self { model, room, taken: 0, free_at, moved, users: 0, since: Nanos::ZERO, useful: Nanos::ZERO }
    }

    /// Physical memory; false if there is not so much.
    pub fn take(&mut self, bytes: u64) -> bool {
        let fits = self.taken + bytes <= self.room;
        self.taken += if fits { bytes } else { 0 };
        fits
    }

    pub fn give(&mut self, bytes: u64) {
        self.taken -= bytes;
    }

    /// When a copy that is asked for now will be through: one after the other in each direction.
    pub fn copy(&mut self, now: Nanos, way: Way, bytes: u64) -> Nanos {
        let engine = way as usize;
        self.moved[engine] += bytes;
        let begin = self.free_at[engine].max(now);
        self.free_at[engine] = begin.saturating_add(self.time_for(bytes));
        self.free_at[engine]
    }

    /// What moving so much takes by itself.
    pub fn time_for(&self, bytes: u64) -> Nanos {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.model.bandwidth);
        Nanos(u64::try_from(nanos).unwrap())
    }

    pub fn begins(&mut self, now: Nanos) {
        if self.users == 0 {
            self.since = now;
        }
        self.users += 1;
    }

    pub fn ends(&mut self, now: Nanos) {
        self.users -= 1;
        if self.users == 0 {
            self.useful = self.useful.saturating_add(now.saturating_sub(self.since));
        }
    }

    /// The time so far in which somebody has computed.
    pub fn useful(&self, now: Nanos) -> Nanos {
        let present = if self.users == 0 { Nanos::ZERO } else { now.saturating_sub(self.since) };
        self.useful.saturating_add(present)
    }
}
