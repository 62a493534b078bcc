//! The pieces in the book: made, placed on their device, moved, taken apart, dropped.
use super::book::{Book, Home, PieceId, STAMPS};
use super::piece::{self, Access, Map, Piece};
use nvshare_abi::{CUmemAccessDesc, CUmemAllocationProp, CUresult};
use nvshare_protocol::DeviceId;

impl Book {
    /// Puts pieces of one reservation on their device, as far as there is room.
    ///
    /// # Errors
    /// The driver's, with the device and the bytes of the piece that it refused.
    pub fn place(&mut self, ids: &[PieceId]) -> Result<(), (CUresult, DeviceId, u64)> {
        let (mut made, mut refused) = (Vec::with_capacity(ids.len()), None);
        for id in ids {
            let Some(piece) = self.pieces.get_mut(id).filter(|piece| !piece.is_there()) else { continue };
            if let Err(code) = piece.make() {
                refused = Some((code, piece.device, piece.bytes));
                break;
            }
            made.push(*id);
        }
        if let Err(code) = piece::open_all(made.iter().filter_map(|id| self.pieces.get(id))) {
            for id in made {
                if let Some(piece) = self.pieces.get_mut(&id) {
                    refused = refused.or(Some((code, piece.device, piece.bytes)));
                    piece.lift();
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// New pieces, one behind the other from `at` on, each with its bytes and its slot; they are not placed.
    pub fn add_pieces(
        &mut self,
        mut at: u64,
        parts: impl IntoIterator<Item = (u64, Option<u64>)>,
        prop: CUmemAllocationProp,
        (device, pinned): (DeviceId, Option<&'static str>),
    ) -> Vec<PieceId> {
        let guests = self.peers.guests(device);
        let users = std::iter::once(prop.location.id).chain(guests).map(piece::own_access);
        let users: Vec<CUmemAccessDesc> = users.collect();
        let parts = parts.into_iter().map(|(bytes, slot)| {
            let stamp = self.stamp();
            let access = vec![Access { at, bytes, who: users.clone() }];
            let maps = vec![Map { at, offset: 0, bytes, access }];
            let piece = Piece {
                device,
                bytes,
                prop,
                real: None,
                saved: false,
                slot,
                maps,
                pinned,
                handles: 0,
                stamp,
            };
            self.pieces.insert(stamp, piece);
            self.maps.insert(at, stamp);
            at += bytes;
            stamp
        });
        parts.collect()
    }

    /// Pieces go, with their memory; what they had of the swap space.
    pub fn drop_pieces(&mut self, ids: &[PieceId]) -> Vec<u64> {
        let mut slots = Vec::new();
        for id in ids {
            if let Some(mut piece) = self.pieces.remove(id) {
                piece.lift();
                for map in &piece.maps {
                    self.maps.remove(&map.at);
                }
                slots.extend(piece.slot);
            }
        }
        slots
    }

    /// A piece of a plain allocation that is away comes back as several of `bytes`; `split` does the same to its slot.
    pub fn split(&mut self, id: PieceId, bytes: u64, split: impl FnOnce(u64)) {
        let Some(piece) = self.pieces.get(&id) else { return };
        let ([map], Some(slot)) = (piece.maps.as_slice(), piece.slot) else { return };
        let parts = piece.bytes.div_ceil(bytes);
        let is_plain = piece.pinned.is_none() && piece.handles == 0 && !piece.is_exportable();
        if piece.is_there() || !is_plain || map.bytes != piece.bytes || !(2..=STAMPS).contains(&parts) {
            return;
        }
        let Some((_, extent)) = self.extents.range_mut(..=map.at).next_back() else { return };
        let Home::Pieces(ids) = &mut extent.home else { return };
        let Some(place) = ids.iter().position(|of| *of == id) else { return };
        ids.splice(place..=place, id..id + parts);
        let parts: Vec<Piece> = (0..parts).map(|nth| piece.part(nth, bytes)).collect();
        split(slot);
        for part in parts {
            self.maps.insert(part.maps[0].at, part.stamp);
            self.pieces.insert(part.stamp, part);
        }
    }

    /// Pieces that lie one behind the other are mapped elsewhere, at addresses that are reserved for them.
    pub fn move_pieces(&mut self, ids: &[PieceId], from: u64, to: u64) -> Result<(), CUresult> {
        for id in ids {
            let Some(piece) = self.pieces.get_mut(id) else { continue };
            for map in &piece.maps {
                self.maps.remove(&map.at);
            }
            let moved = piece.move_maps(from, to);
            for map in &piece.maps {
                self.maps.insert(map.at, *id);
            }
            moved?;
        }
        piece::open_all(ids.iter().filter_map(|id| self.pieces.get(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::Extent;
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn extent(bytes: u64, home: Home) -> Extent {
        Extent { device: GPU, bytes, home, context: 7, stamp: 0, shelf: None }
    }

    #[test]
    fn a_piece_that_is_away_comes_back_as_several_at_the_same_addresses() {
        let mut book = Book::default();
        let (id, next) = (book.stamp(), book.stamp());
        let who = vec![piece::own_access(0)];
        let map = |at, bytes| piece::Map {
            at,
            offset: 0,
            bytes,
            access: vec![piece::Access { at, bytes, who: who.clone() }],
        };
        let piece = |stamp, at, bytes| Piece {
            device: GPU,
            bytes,
            prop: piece::plain(0),
            real: None,
            saved: true,
            slot: Some(0x1000),
            maps: vec![map(at, bytes)],
            pinned: None,
            handles: 0,
            stamp,
        };
        book.pieces.insert(id, piece(id, 0x10000, 2500));
        book.pieces.insert(next, piece(next, 0x10000 + 2500, 500));
        book.maps.extend([(0x10000, id), (0x10000 + 2500, next)]);
        book.extents.insert(0x10000, extent(3000, Home::Pieces(vec![id, next])));
        let mut slots = Vec::new();
        book.split(next, 1000, |slot| slots.push(slot));
        assert!(slots.is_empty(), "it is small enough");
        book.split(id, 1000, |slot| slots.push(slot));
        assert_eq!(slots, [0x1000]);
        let parts: Vec<_> = book.pieces.values().map(|p| (p.stamp, p.maps[0].at, p.bytes, p.slot)).collect();
        let part = |nth: u64, bytes| (id + nth, 0x10000 + nth * 1000, bytes, Some(0x1000 + nth * 1000));
        assert_eq!(
            parts,
            [part(0, 1000), part(1, 1000), part(2, 500), (next, 0x10000 + 2500, 500, Some(0x1000))]
        );
        assert!(
            book.pieces.values().all(|piece| piece.window() == Some(piece.maps[0].at)),
            "open to its device"
        );
        assert_eq!(book.extents[&0x10000].home, Home::Pieces(vec![id, id + 1, id + 2, next]));
        assert_eq!(book.piece_at(0x10000 + 2499), Some(id + 2));
        book.pieces.get_mut(&next).unwrap().handles = 1;
        book.split(next, 100, |slot| slots.push(slot));
        assert_eq!(
            (slots.len(), book.pieces.len()),
            (1, 4),
            "what the application has a handle to stays whole"
        );
    }
}
