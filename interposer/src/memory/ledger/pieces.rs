//! The ledger's pieces: added, materialized on their device, mapped elsewhere, split, dropped.
use crate::memory::ledger::piece::{self, AccessRange, Mapping, Piece};
use crate::memory::ledger::{Backing, Ledger, PieceId, SEQ_STRIDE};
use nvshare_abi::{CUmemAccessDesc, CUmemAllocationProp, CUresult};
use nvshare_protocol::DeviceId;

/// What new pieces have in common.
#[derive(Clone, Copy, Debug)]
pub struct PieceKind {
    pub device: DeviceId,
    pub prop: CUmemAllocationProp,
    /// Why they can never leave, if they cannot.
    pub pinned: Option<&'static str>,
}

impl Ledger {
    /// Puts pieces of one reservation on their device, in order, until the driver refuses one.
    ///
    /// # Errors
    /// The driver's, with the device and the bytes of the piece that it refused.
    pub fn materialize(&mut self, ids: &[PieceId]) -> Result<(), (CUresult, DeviceId, u64)> {
        let (mut made, mut refused) = (Vec::with_capacity(ids.len()), None);
        for id in ids {
            let Some(piece) = self.pieces.get_mut(id).filter(|piece| !piece.is_resident()) else { continue };
            if let Err(code) = piece.create() {
                refused = Some((code, piece.device, piece.bytes));
                break;
            }
            made.push(*id);
        }
        if let Err(code) = piece::apply_access_all(made.iter().filter_map(|id| self.pieces.get(id))) {
            for id in made {
                if let Some(piece) = self.pieces.get_mut(&id) {
                    refused = refused.or(Some((code, piece.device, piece.bytes)));
                    piece.release();
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// New pieces, one behind the other from `at` on, each with its bytes and its slot. They are not on the device yet.
    pub fn add_pieces(
        &mut self,
        mut at: u64,
        parts: impl IntoIterator<Item = (u64, Option<u64>)>,
        PieceKind { device, prop, pinned }: PieceKind,
    ) -> Vec<PieceId> {
        let peers = self.peers.peers_of(device);
        let users = std::iter::once(prop.location.id).chain(peers).map(piece::read_write_access);
        let users: Vec<CUmemAccessDesc> = users.collect();
        let parts = parts.into_iter().map(|(bytes, slot)| {
            let lru_seq = self.next_seq();
            let access = vec![AccessRange { at, bytes, who: users.clone() }];
            let mappings = vec![Mapping { at, offset: 0, bytes, access }];
            let piece = Piece { slot, mappings, pinned, ..Piece::new(lru_seq, device, bytes, prop) };
            self.pieces.insert(lru_seq, piece);
            self.mappings.insert(at, lru_seq);
            at += bytes;
            lru_seq
        });
        parts.collect()
    }

    /// Removes pieces and releases their memory; returns their slots.
    pub fn drop_pieces(&mut self, ids: &[PieceId]) -> Vec<u64> {
        let mut slots = Vec::new();
        for id in ids {
            if let Some(mut piece) = self.pieces.remove(id) {
                piece.release();
                for map in &piece.mappings {
                    self.mappings.remove(&map.at);
                }
                slots.extend(piece.slot);
            }
        }
        slots
    }

    /// Splits an evicted piece of a plain allocation into several of `bytes`; `split` does the same to its slot.
    pub fn split(&mut self, id: PieceId, bytes: u64, split: impl FnOnce(u64)) {
        let Some(piece) = self.pieces.get(&id) else { return };
        let ([map], Some(slot)) = (piece.mappings.as_slice(), piece.slot) else { return };
        let parts = piece.bytes.div_ceil(bytes);
        let is_plain = piece.pinned.is_none() && piece.app_handles == 0 && !piece.is_exportable();
        if piece.is_resident() || !is_plain || map.bytes != piece.bytes || !(2..=SEQ_STRIDE).contains(&parts)
        {
            return;
        }
        let Some((_, extent)) = self.extents.range_mut(..=map.at).next_back() else { return };
        let Backing::Pieces(ids) = &mut extent.backing else { return };
        let Some(place) = ids.iter().position(|of| *of == id) else { return };
        ids.splice(place..=place, id..id + parts);
        let parts: Vec<Piece> = (0..parts).map(|nth| piece.part(nth, bytes)).collect();
        split(slot);
        for part in parts {
            self.mappings.insert(part.mappings[0].at, part.lru_seq);
            self.pieces.insert(part.lru_seq, part);
        }
    }

    /// Maps pieces at `to` instead of `from`, at addresses that are reserved for them.
    pub fn move_pieces(&mut self, ids: &[PieceId], from: u64, to: u64) -> Result<(), CUresult> {
        for id in ids {
            let Some(piece) = self.pieces.get_mut(id) else { continue };
            for map in &piece.mappings {
                self.mappings.remove(&map.at);
            }
            let moved = piece.move_maps(from, to);
            for map in &piece.mappings {
                self.mappings.insert(map.at, *id);
            }
            moved?;
        }
        piece::apply_access_all(ids.iter().filter_map(|id| self.pieces.get(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::ledger::{Extent, ExtentOwner};

    const GPU: DeviceId = DeviceId([1; 16]);

    fn extent(bytes: u64, backing: Backing) -> Extent {
        Extent::new(ExtentOwner { device: GPU, context: 7 }, bytes, backing)
    }

    #[test]
    fn a_piece_that_is_away_comes_back_as_several_at_the_same_addresses() {
        let mut ledger = Ledger::default();
        let (id, next) = (ledger.next_seq(), ledger.next_seq());
        let who = vec![piece::read_write_access(0)];
        let map = |at, bytes| piece::Mapping {
            at,
            offset: 0,
            bytes,
            access: vec![piece::AccessRange { at, bytes, who: who.clone() }],
        };
        let piece = |lru_seq, at, bytes| Piece {
            saved: true,
            slot: Some(0x1000),
            mappings: vec![map(at, bytes)],
            ..Piece::new(lru_seq, GPU, bytes, piece::device_prop(0))
        };
        ledger.pieces.insert(id, piece(id, 0x10000, 2500));
        ledger.pieces.insert(next, piece(next, 0x10000 + 2500, 500));
        ledger.mappings.extend([(0x10000, id), (0x10000 + 2500, next)]);
        ledger.extents.insert(0x10000, extent(3000, Backing::Pieces(vec![id, next])));
        let mut slots = Vec::new();
        ledger.split(next, 1000, |slot| slots.push(slot));
        assert!(slots.is_empty(), "it is small enough");
        ledger.split(id, 1000, |slot| slots.push(slot));
        assert_eq!(slots, [0x1000]);
        let parts: Vec<_> =
            ledger.pieces.values().map(|p| (p.lru_seq, p.mappings[0].at, p.bytes, p.slot)).collect();
        let part = |nth: u64, bytes| (id + nth, 0x10000 + nth * 1000, bytes, Some(0x1000 + nth * 1000));
        assert_eq!(
            parts,
            [part(0, 1000), part(1, 1000), part(2, 500), (next, 0x10000 + 2500, 500, Some(0x1000))]
        );
        assert!(
            ledger.pieces.values().all(|piece| piece.full_mapping() == Some(piece.mappings[0].at)),
            "open to its device"
        );
        assert_eq!(ledger.extents[&0x10000].backing, Backing::Pieces(vec![id, id + 1, id + 2, next]));
        assert_eq!(ledger.piece_at(0x10000 + 2499), Some(id + 2));
        ledger.pieces.get_mut(&next).unwrap().app_handles = 1;
        ledger.split(next, 100, |slot| slots.push(slot));
        assert_eq!(
            (slots.len(), ledger.pieces.len()),
            (1, 4),
            "what the application has a handle to stays whole"
        );
    }
}
