//! What an operator may set, and the bounds that follow from it.
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;

/// How long the turns on a device last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantum {
    /// 1 ms to one day.
    Fixed(Nanos),
    /// [`AUTO_FACTOR`] times what the last hand-overs cost on the device, within [`AUTO_RANGE`].
    Auto,
}

/// What a tenant has to evict when its turn ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictMode {
    /// As much as the next tenant lacks.
    #[default]
    Pressure,
    Always,
    /// Nothing that the driver can evict; otherwise as [`Self::Pressure`].
    Never,
}

impl EvictMode {
    pub const ALL: [Self; 3] = [Self::Pressure, Self::Always, Self::Never];

    /// The operator's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pressure => "pressure",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// The mode that an operator means by this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

impl Quantum {
    pub(crate) fn checked(self) -> Self {
        match self {
            Self::Fixed(length) => Self::Fixed(in_range(length)),
            Self::Auto => self,
        }
    }

    /// The longest that a turn can last.
    fn longest(self) -> Nanos {
        match self {
            Self::Fixed(length) => length,
            Self::Auto => AUTO_RANGE.1,
        }
    }
}

/// The rules in force. [`crate::Core::new`] brings every duration into its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a turn lasts while somebody waits, from the moment the memory is there.
    pub quantum: Quantum,
    /// Devices whose turns have another length.
    pub quanta: BTreeMap<DeviceId, Quantum>,
    /// Whether tenants that fit on a device together run together. Otherwise one has it at a time.
    pub share: bool,
    /// Whether memory moves beside the turns too: prefetched before a grant, evicted after a release.
    pub overlap: bool,
    /// What a tenant has to evict when its turn ends.
    pub evict: EvictMode,
    /// What no tenant may use of each device: for contexts and the driver.
    pub reserve: Bytes,
    /// What tenants together may have of each device, should that be less than what it has.
    pub most: Bytes,
    /// A tenant whose memory is not back this long after its grant begins its turn all the same.
    /// 1 ms to one day.
    pub fetch_bound: Nanos,
    /// After this long without the end of its work, a tenant cancels a drain. 1 ms to one day.
    pub drain_bound: Nanos,
    /// What a tenant has beyond `drain_bound` to move its memory out and answer. 1 ms to one day.
    pub evict_bound: Nanos,
    /// How long after the first revocation of a turn a tenant that cancels its drains is waited for.
    /// 1 ms to one day.
    pub patience: Nanos,
    /// The longest turn that a weight can make of the quantum, if the quantum is not longer by itself. 1 ms to one day.
    pub turn_bound: Nanos,
    /// A tenant that was told to do something and gives no sign of life for this long is not waited for. 1 ms to one
    /// day.
    pub silence: Nanos,
    /// How long a tenant waits while others of higher priority are served. 1 ms to one day.
    pub starvation: Nanos,
    /// For this long after the start nobody is granted a device, so that tenants that hold since before can come back
    /// first. At most one day.
    pub grace: Nanos,
    /// How many finished spans are kept for the trace.
    pub record: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quantum: Quantum::Fixed(DEFAULT_QUANTUM),
            quanta: BTreeMap::new(),
            share: false,
            overlap: false,
            evict: EvictMode::Pressure,
            reserve: Bytes(512 << 20),
            most: Bytes::MAX,
            fetch_bound: seconds(60),
            drain_bound: seconds(5),
            evict_bound: seconds(30),
            patience: seconds(10),
            turn_bound: seconds(60),
            silence: seconds(5),
            starvation: seconds(60),
            grace: Nanos::ZERO,
            record: 4096,
        }
    }
}

/// How long turns last if nothing is said.
pub(crate) const DEFAULT_QUANTUM: Nanos = seconds(30);
/// The shortest and the longest duration that a setting may have.
pub const RANGE: (Nanos, Nanos) = (Nanos::from_millis(1), seconds(86_400));

/// Under [`Quantum::Auto`], a turn lasts this many times the cost of a hand-over: hand-overs take a twentieth of the
/// time.
pub const AUTO_FACTOR: u64 = 20;

/// The shortest and the longest turn under [`Quantum::Auto`].
pub const AUTO_RANGE: (Nanos, Nanos) = (seconds(1), seconds(30));

/// The largest weight.
pub const MAX_WEIGHT: u32 = 1000;

pub(crate) const fn seconds(n: u64) -> Nanos {
    Nanos(n * Nanos::SECOND.0)
}

/// `duration`, brought into [`RANGE`].
pub(crate) fn in_range(duration: Nanos) -> Nanos {
    duration.clamp(RANGE.0, RANGE.1)
}

impl Settings {
    pub(crate) fn checked(mut self) -> Self {
        for duration in [
            &mut self.fetch_bound,
            &mut self.drain_bound,
            &mut self.evict_bound,
            &mut self.patience,
            &mut self.turn_bound,
            &mut self.silence,
            &mut self.starvation,
        ] {
            *duration = in_range(*duration);
        }
        self.quantum = self.quantum.checked();
        self.quanta.values_mut().for_each(|quantum| *quantum = quantum.checked());
        self.grace = self.grace.min(RANGE.1);
        self
    }

    /// The rule for turns on the device, or on those that have none of their own.
    #[must_use]
    pub fn quantum_of(&self, device: Option<DeviceId>) -> Quantum {
        device.and_then(|device| self.quanta.get(&device)).copied().unwrap_or(self.quantum)
    }

    /// How long after a revocation the tenant must have answered.
    #[must_use]
    pub const fn answer_bound(&self) -> Nanos {
        self.drain_bound.saturating_add(self.evict_bound)
    }

    /// How long after the first revocation of its turn a tenant can go on keeping others out.
    #[must_use]
    pub fn leave_bound(&self) -> Nanos {
        self.answer_bound().max(self.patience)
    }

    /// How long a turn of that weight lasts where one of weight 1 lasts `quantum`.
    pub(crate) fn weighted(&self, quantum: Nanos, weight: u64) -> Nanos {
        Nanos(quantum.0.saturating_mul(weight)).min(self.turn_bound.max(quantum))
    }

    /// How long a tenant that is blocked by the claims of others believes them at first, before it tries.
    #[must_use]
    pub const fn claim_bound(&self) -> Nanos {
        self.silence
    }

    /// The scheduler's promise once [`Self::grace`] is over: a tenant that is first in line for each of its devices is
    /// granted them within this time, whatever the holders do. `heaviest` is the largest weight among the holders.
    ///
    /// * A tenant with `n` requests before it in line waits at most `n + 1` times as long. A device that a tenant before it
    ///   names meanwhile counts as one more request. So does a holder that grows and no longer fits beside it.
    /// * A tenant that swaps may have to wait for room that others do not make.
    /// * With [`Self::overlap`], interactive tenants come first, up to half of the time.
    /// * A tenant of lower priority than others has the promise once it has waited for [`Self::starvation`].
    /// * A tenant with a quota has the promise from when it may hold again.
    #[must_use]
    pub fn wait_bound(&self, heaviest: u32) -> Nanos {
        let all = self.quanta.values().copied().chain([self.quantum_of(None)]);
        let quantum = all.map(Quantum::longest).max().unwrap_or_default();
        let turn = self.weighted(quantum, u64::from(heaviest));
        // Then an eviction may still be under way.
        let bounds = self.leave_bound().saturating_add(self.evict_bound);
        self.fetch_bound.saturating_add(turn).saturating_add(bounds)
    }
}
