//! A client's memory on one card: pieces, each with its contents in one place, moved as the library's swap engine
//! moves them.
use super::card::Card;
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::tenant::Moves;
use nvshare_protocol::{Bytes, DeviceId};

/// As large as the library's own.
const PIECE: u64 = 128 << 20;
/// Moved between two reports, as the library does.
pub const BATCH: u64 = 128 << 20;

/// Contents are numbered by the computation that wrote them last; none: never written.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    bytes: u64,
    on_device: Option<u64>,
    on_host: Option<u64>,
    /// Physical memory is taken for it.
    placed: bool,
    /// A copy of it is under way.
    moves: bool,
    pinned: bool,
    /// Kernels never write it: it is all zero for ever, and never copied.
    zero: bool,
}

#[derive(Clone, Debug)]
pub struct Holding {
    pub card: usize,
    /// The newest last.
    pieces: Vec<Piece>,
    written: Option<u64>,
    /// What the process's context takes, which nobody tells of.
    hidden: u64,
    /// The smallest piece that found no room, until that is told.
    pub refused: Option<u64>,
    /// What has moved so far.
    pub moved: Moves,
}

/// Pieces that move together, and how many of their bytes are copied.
#[derive(Clone, Debug)]
pub struct Batch {
    pieces: Vec<usize>,
    pub bytes: u64,
    pub copied: u64,
}

impl Holding {
    pub fn new(card: usize) -> Self {
        Self { card, pieces: Vec::new(), written: None, hidden: 0, refused: None, moved: Moves::default() }
    }

    /// Memory without a place yet.
    pub fn allocate(&mut self, mut bytes: u64) {
        while bytes > 0 {
            let piece = Piece { bytes: bytes.min(PIECE), ..Piece::default() };
            bytes -= piece.bytes;
            self.pieces.push(piece);
        }
    }

    /// So much of what is allocated is never written.
    pub fn leave_zero(&mut self, bytes: u64) {
        let mut left = bytes;
        for piece in &mut self.pieces {
            piece.zero = piece.bytes <= left;
            left = left.saturating_sub(piece.bytes);
        }
    }

    /// How this memory has moved, and what of it has content and is away.
    pub fn moves(&self, device: DeviceId) -> Moves {
        let away = self.pieces.iter().filter(|piece| piece.on_host.is_some());
        Moves { device, away_content: Bytes(away.map(|piece| piece.bytes).sum()), ..self.moved }
    }

    /// A context comes up; false if the card is full.
    pub fn hide(&mut self, card: &mut Card, bytes: u64) -> bool {
        let fits = card.take(bytes);
        self.hidden += if fits { bytes } else { 0 };
        fits
    }

    /// Memory that is on the card from the start and stays there; false if the card is full.
    pub fn pin(&mut self, card: &mut Card, bytes: u64) -> bool {
        let fits = card.take(bytes);
        if fits && bytes > 0 {
            self.pieces.insert(0, Piece { bytes, placed: true, pinned: true, ..Piece::default() });
        }
        fits
    }

    /// Gives the newest back that makes up at least `bytes`.
    pub fn free(&mut self, card: &mut Card, bytes: u64) {
        let mut left = bytes;
        while left > 0
            && let Some(piece) = self.pieces.pop_if(|piece| !piece.moves && !piece.pinned)
        {
            left = left.saturating_sub(piece.bytes);
            card.give(if piece.placed { piece.bytes } else { 0 });
        }
    }

    /// The process is gone.
    pub fn drop_all(&mut self, card: &mut Card) {
        self.pieces.iter().for_each(|piece| card.give(if piece.placed { piece.bytes } else { 0 }));
        self.pieces.clear();
        card.give(std::mem::take(&mut self.hidden));
    }

    pub fn totals(&self) -> MemoryUse {
        let sum = |of: fn(&Piece) -> bool| Bytes(self.pieces.iter().filter(|p| of(p)).map(|p| p.bytes).sum());
        MemoryUse {
            allocated: sum(|_| true),
            resident: sum(|piece| piece.placed),
            immovable: sum(|piece| piece.pinned),
        }
    }

    /// What the driver shows, with the process's context.
    pub fn shown(&self) -> Bytes {
        Bytes(self.totals().resident.0 + self.hidden.max(1 << 20))
    }

    /// Puts all that has no place on the card, if it is new and there is room; kernels wait for it otherwise.
    pub fn place_new(&mut self, card: &mut Card) {
        for piece in self.pieces.iter_mut().filter(|piece| !piece.placed && piece.on_host.is_none()) {
            piece.placed = card.take(piece.bytes);
            if !piece.placed {
                self.refused = Some(self.refused.map_or(piece.bytes, |least| least.min(piece.bytes)));
            }
        }
    }

    /// What has no place and never had one is gone.
    pub fn give_up(&mut self) {
        self.pieces.retain(|piece| piece.placed || piece.on_host.is_some());
    }

    /// Whether kernels may run.
    pub fn is_there(&self) -> bool {
        self.pieces.iter().all(|piece| piece.placed && !piece.moves)
    }

    /// Kernels have run: they find the contents of the time before, and leave those of computation `number`.
    ///
    /// # Panics
    /// If a byte is not where it must be.
    pub fn compute(&mut self, number: u64) {
        for piece in self.pieces.iter_mut().filter(|piece| !piece.pinned) {
            assert!(piece.placed && !piece.moves, "kernels run on memory that is away");
            let fresh = piece.on_device.is_none() && piece.on_host.is_none();
            assert!(fresh || piece.on_device == self.written, "contents are lost: {piece:?}");
            (piece.on_device, piece.on_host) = ((!piece.zero).then_some(number), None);
        }
        self.written = Some(number);
    }

    /// The next batch to bring in; none if nothing is away, or there is no room by the budget or on the card.
    pub fn bring(&mut self, card: &mut Card, budget: u64) -> Option<Batch> {
        let mut room = budget.saturating_sub(self.totals().resident.0);
        let mut batch = Batch { pieces: Vec::new(), bytes: 0, copied: 0 };
        for (at, piece) in self.pieces.iter_mut().enumerate().rev().filter(|(_, piece)| !piece.placed) {
            if piece.bytes > room || batch.bytes >= BATCH {
                break;
            }
            if !card.take(piece.bytes) {
                self.refused = Some(self.refused.map_or(piece.bytes, |least| least.min(piece.bytes)));
                break;
            }
            (piece.placed, piece.moves) = (true, true);
            room -= piece.bytes;
            batch.bytes += piece.bytes;
            batch.copied += if piece.on_host.is_some() { piece.bytes } else { 0 };
            batch.pieces.push(at);
        }
        (batch.bytes > 0).then_some(batch)
    }

    /// The next batch to move out, of at least `wanted` bytes or all that can leave.
    pub fn lift(&mut self, wanted: u64) -> Option<Batch> {
        let mut batch = Batch { pieces: Vec::new(), bytes: 0, copied: 0 };
        let leaves = |piece: &Piece| piece.placed && !piece.pinned && !piece.moves;
        for (at, piece) in self.pieces.iter_mut().enumerate().filter(|(_, piece)| leaves(piece)) {
            if batch.bytes >= wanted.min(BATCH) {
                break;
            }
            piece.moves = true;
            batch.bytes += piece.bytes;
            batch.copied += if piece.zero { 0 } else { piece.bytes };
            batch.pieces.push(at);
        }
        (batch.bytes > 0).then_some(batch)
    }

    /// The batch has been copied in.
    pub fn brought(&mut self, batch: &Batch) {
        for &at in &batch.pieces {
            let piece = &mut self.pieces[at];
            piece.moves = false;
            piece.on_device = piece.on_host.take();
        }
        let Moves { copied_in, zero_in, .. } = &mut self.moved;
        (copied_in.0, zero_in.0) = (copied_in.0 + batch.copied, zero_in.0 + batch.bytes - batch.copied);
    }

    /// The batch has been copied out, and its place is free.
    pub fn lifted(&mut self, card: &mut Card, batch: &Batch) {
        for &at in &batch.pieces {
            let piece = &mut self.pieces[at];
            (piece.moves, piece.placed) = (false, false);
            piece.on_host = piece.on_device.take();
            card.give(piece.bytes);
        }
        let Moves { copied_out, zero_out, .. } = &mut self.moved;
        (copied_out.0, zero_out.0) = (copied_out.0 + batch.copied, zero_out.0 + batch.bytes - batch.copied);
    }
}
