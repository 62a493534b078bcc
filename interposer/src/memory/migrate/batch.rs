//! Which pieces move between two looks at the ledger, which is locked meanwhile.
use crate::memory::ledger::content;
use crate::memory::ledger::{Ledger, PieceId};
use crate::memory::migrate::look::Findings;
use nvshare_protocol::DeviceId;

/// Copied in a batch, bytes: in about 10 ms.
pub const COPIED: u64 = 512 << 20;
/// Moved without a copy in a batch, bytes. To make, clear and give up so much takes a few milliseconds.
const UNCOPIED: u64 = 4 << 30;

/// Of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub bytes: u64,
    /// What is to be copied of it.
    pub copied: u64,
}

/// What a batch has so far, bytes.
#[derive(Debug, Default)]
pub struct Taken {
    copied: u64,
    uncopied: u64,
}

impl Taken {
    /// Takes a piece, unless that is too much. The first one never is.
    pub fn takes(&mut self, Sizes { bytes, copied }: Sizes) -> bool {
        let (all_copied, all_uncopied) = (self.copied + copied, self.uncopied + bytes - copied);
        let is_first = self.copied + self.uncopied == 0;
        let fits = is_first || all_copied <= COPIED && all_uncopied <= UNCOPIED;
        if fits {
            (self.copied, self.uncopied) = (all_copied, all_uncopied);
        }
        fits
    }
}

/// Of the pieces that can leave, in their order, until `wanted` bytes have left: those of this batch, and those that would
/// be next. Of what nobody has looked at, all is to be copied.
pub fn leaving(
    ledger: &Ledger,
    ids: &[PieceId],
    wanted: u64,
    findings: &Findings,
) -> (Vec<PieceId>, Vec<PieceId>) {
    let (mut sum, mut ahead, mut taken) = (0, 0, Taken::default());
    let (mut now, mut then) = (Vec::new(), Vec::new());
    for id in ids {
        let piece = ledger.pieces.get(id).filter(|piece| piece.is_resident() && piece.is_evictable());
        let Some(piece) = piece else { continue };
        if sum >= wanted || ahead >= UNCOPIED {
            break;
        }
        let runs = piece.content.leaving(findings.get(id).map(Vec::as_slice), piece.bytes);
        if then.is_empty() && taken.takes(Sizes { bytes: piece.bytes, copied: content::copied(&runs) }) {
            now.push(*id);
        } else {
            then.push(*id);
            ahead += piece.bytes;
        }
        sum += piece.bytes;
    }
    (now, then)
}

/// The pieces of a device that are not on it, those with something to copy first, and of each kind the most recently used
/// first.
pub fn returning(ledger: &Ledger, device: DeviceId) -> Vec<(PieceId, Sizes)> {
    let away = ledger.pieces.iter().rev().filter(|(_, piece)| piece.device == device && !piece.is_resident());
    let sized = away.map(|(id, piece)| {
        let copied = if piece.saved { piece.content.copied_back(piece.bytes) } else { 0 };
        (*id, Sizes { bytes: piece.bytes, copied })
    });
    let (mut first, then): (Vec<_>, Vec<_>) = sized.partition(|(_, sizes)| sizes.copied > 0);
    first.extend(then);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_batch_ends_with_what_is_copied_or_with_what_is_not() {
        let takes = |sizes: Sizes| {
            let mut taken = Taken::default();
            (0..1000).take_while(|_| taken.takes(sizes)).count()
        };
        assert_eq!(takes(Sizes { bytes: 128 * MIB, copied: 128 * MIB }), 4);
        assert_eq!(takes(Sizes { bytes: 128 * MIB, copied: 0 }), 32);
        assert_eq!(takes(Sizes { bytes: 128 * MIB, copied: 2 * MIB }), 32, "what is not copied counts too");
        assert_eq!(takes(Sizes { bytes: 20 << 30, copied: 0 }), 1, "however large, something moves");
        assert_eq!(takes(Sizes { bytes: 20 << 30, copied: 20 << 30 }), 1);
    }

    #[test]
    fn beside_all_the_copies_of_a_batch_there_is_room_for_what_is_not_copied() {
        let mut taken = Taken::default();
        let copied = Sizes { bytes: 512 * MIB, copied: 512 * MIB };
        assert!(taken.takes(copied) && !taken.takes(copied));
        assert!(taken.takes(Sizes { bytes: 128 * MIB, copied: 0 }));
    }
}
