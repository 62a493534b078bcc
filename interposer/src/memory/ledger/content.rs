//! What the parts of a piece contain, so that only what has changed and is not zero moves.
//!
//! A granule (2 MiB) is looked at on the GPU before it leaves (`memory/migrate/look`). Its place in the slot is right for good once
//! it was copied there, until other bytes are found in it.
use crate::memory::ledger::sizes::GRANULE;
use nvshare_protocol::tenant::Moves;

/// A keyed hash of a granule (`docs/adr/0023-only-what-has-content-and-has-changed-moves.md`).
pub type Hash = [u64; 3];

/// What was found in a granule on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Zero,
    Bytes(Hash),
}

/// What is to be done about a part of a piece that leaves or comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Copy,
    /// All of it is zero.
    Zero,
    /// Its place in the slot has the same bytes.
    Unchanged,
}

/// Neighbouring granules with the same fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// From the piece's beginning.
    pub offset: u64,
    pub bytes: u64,
    pub what: What,
}

/// What a piece's slot has, granule by granule; empty if all that is known is that it has the whole piece, or nothing
/// at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content(Vec<Found>);

impl Content {
    /// What the slot has when all of `found` has left.
    pub fn of(found: Option<&[Found]>) -> Self {
        Self(found.unwrap_or_default().to_vec())
    }

    /// Of how many bytes it is known what the slot has.
    pub fn known(&self) -> u64 {
        self.0.len() as u64 * GRANULE
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Of the part of the piece that begins `offset` bytes into it.
    pub fn part(&self, offset: u64, bytes: u64) -> Self {
        let range = (offset / GRANULE) as usize..(offset + bytes).div_ceil(GRANULE) as usize;
        Self(self.0.get(range).unwrap_or_default().to_vec())
    }

    /// What is to be done when a piece of `bytes` leaves in which this was found.
    pub fn leaving(&self, found: Option<&[Found]>, bytes: u64) -> Vec<Run> {
        let Some(found) = found else { return vec![Run { offset: 0, bytes, what: What::Copy }] };
        let fates = found.iter().enumerate().map(|(at, found)| match found {
            Found::Zero => What::Zero,
            found if self.0.get(at) == Some(found) => What::Unchanged,
            Found::Bytes(_) => What::Copy,
        });
        runs(fates, bytes)
    }

    /// How much of a piece of `bytes` is to be copied when it comes back.
    pub fn copied_back(&self, bytes: u64) -> u64 {
        let not_zero = self.0.iter().filter(|found| **found != Found::Zero).count() as u64 * GRANULE;
        if self.0.is_empty() { bytes } else { not_zero.min(bytes) }
    }

    /// What is to be done when a piece of `bytes` comes back.
    pub fn returning(&self, bytes: u64) -> Vec<Run> {
        if self.0.is_empty() {
            return vec![Run { offset: 0, bytes, what: What::Copy }];
        }
        let fate = |found: &Found| if *found == Found::Zero { What::Zero } else { What::Copy };
        runs(self.0.iter().map(fate), bytes)
    }
}

/// How many bytes are to be copied.
pub fn copied(runs: &[Run]) -> u64 {
    runs.iter().filter(|run| run.what == What::Copy).map(|run| run.bytes).sum()
}

fn runs(fates: impl Iterator<Item = What>, bytes: u64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, what) in fates.enumerate() {
        let offset = at as u64 * GRANULE;
        let bytes = GRANULE.min(bytes.saturating_sub(offset));
        match runs.last_mut().filter(|run| run.what == what) {
            Some(run) => run.bytes += bytes,
            None => runs.push(Run { offset, bytes, what }),
        }
    }
    runs
}

/// Counts what leaves.
pub fn count_leaving(moves: &mut Moves, runs: &[Run]) {
    for run in runs {
        let sum = match run.what {
            What::Copy => &mut moves.copied_out,
            What::Unchanged => &mut moves.unchanged,
            What::Zero => &mut moves.zero_out,
        };
        sum.0 += run.bytes;
    }
}

/// Counts what comes back.
pub fn count_returning(moves: &mut Moves, runs: &[Run]) {
    for run in runs {
        let sum = if run.what == What::Zero { &mut moves.zero_in } else { &mut moves.copied_in };
        sum.0 += run.bytes;
    }
}

/// What did not have to be copied, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    unchanged: u64,
    zero: u64,
}

impl Spared {
    /// Since the process began, over all devices.
    pub fn of<'a>(all: impl Iterator<Item = &'a Moves>) -> Self {
        all.fold(Self::default(), |sum, moves| Self {
            unchanged: sum.unchanged + moves.unchanged.0,
            zero: sum.zero + moves.zero_out.0 + moves.zero_in.0,
        })
    }

    pub fn since(self, earlier: Self) -> Self {
        Self { unchanged: self.unchanged - earlier.unchanged, zero: self.zero - earlier.zero }
    }
}

/// For people; empty if all was copied.
impl std::fmt::Display for Spared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gib = |bytes: u64| bytes as f64 / (1 << 30) as f64;
        match (self.unchanged, self.zero) {
            (0, 0) => Ok(()),
            (unchanged, 0) => write!(f, " (of it {:.2} GiB unchanged)", gib(unchanged)),
            (0, zero) => write!(f, " (of it {:.2} GiB zero)", gib(zero)),
            (unchanged, zero) => {
                write!(f, " (of it {:.2} GiB unchanged, {:.2} GiB zero)", gib(unchanged), gib(zero))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Found = Found::Bytes([1, 2, 3]);
    const B: Found = Found::Bytes([1, 2, 4]);

    fn run(offset: u64, bytes: u64, what: What) -> Run {
        Run { offset: offset * GRANULE, bytes: bytes * GRANULE, what }
    }

    #[test]
    fn what_is_zero_or_as_before_is_not_copied() {
        let known = Content::of(Some(&[A, A, B, Found::Zero, Found::Zero, A]));
        let found = [A, A, A, Found::Zero, A, Found::Zero];
        assert_eq!(
            known.leaving(Some(&found), 6 * GRANULE),
            [
                run(0, 2, What::Unchanged),
                run(2, 1, What::Copy),
                run(3, 1, What::Zero),
                run(4, 1, What::Copy),
                run(5, 1, What::Zero),
            ]
        );
        assert_eq!(
            Content::of(Some(&found)).returning(6 * GRANULE),
            [run(0, 3, What::Copy), run(3, 1, What::Zero), run(4, 1, What::Copy), run(5, 1, What::Zero)]
        );
    }

    #[test]
    fn where_nothing_is_known_all_is_copied() {
        let all = [run(0, 3, What::Copy)];
        assert_eq!(Content::default().leaving(None, 3 * GRANULE), all);
        assert_eq!(Content::of(Some(&[A, A, A])).leaving(None, 3 * GRANULE), all);
        assert_eq!(Content::default().leaving(Some(&[A, B, A]), 3 * GRANULE), all);
        assert_eq!(Content::default().returning(3 * GRANULE), all);
        let mut known = Content::of(Some(&[A, Found::Zero, A]));
        known.forget();
        assert_eq!(known.returning(3 * GRANULE), all);
    }

    #[test]
    fn a_part_knows_what_the_whole_knew_of_it() {
        let known = Content::of(Some(&[A, B, Found::Zero]));
        assert_eq!(known.part(GRANULE, 2 * GRANULE), Content::of(Some(&[B, Found::Zero])));
        assert_eq!(Content::default().part(GRANULE, GRANULE), Content::default());
    }
}
