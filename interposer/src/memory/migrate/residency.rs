//! Whether memory is on the device, and who relies on that.
use crate::memory::ledger::piece::Piece;
use crate::memory::ledger::shared::SharedLedger;
use crate::sys::lock::{ReadGuard, RwLock, WriteGuard, rank};
use std::sync::Arc;

#[derive(Debug)]
pub struct Residency {
    /// Read while a call of the application's must find memory where it is, written while it leaves.
    lock: RwLock<(), { rank::RESIDENCY }>,
    ledger: Arc<SharedLedger>,
}

/// While it lives, no memory leaves.
#[must_use]
#[derive(Debug)]
pub struct ResidencyGuard<'a>(#[expect(dead_code, reason = "held until dropped")] ReadGuard<'a, ()>);

impl Residency {
    pub fn new(ledger: Arc<SharedLedger>) -> Self {
        Self { lock: RwLock::default(), ledger }
    }

    /// Keeps what lies at an address on the device; none if it is evicted.
    pub fn hold_at(&self, address: u64) -> Option<ResidencyGuard<'_>> {
        let guard = ResidencyGuard(self.lock.read());
        let ledger = self.ledger.lock();
        let piece = ledger.piece_at(address).and_then(|id| ledger.pieces.get(&id));
        piece.is_none_or(Piece::is_resident).then_some(guard)
    }

    /// Keeps all memory where it is; none if any is evicted.
    pub fn hold_all(&self) -> Option<ResidencyGuard<'_>> {
        let guard = ResidencyGuard(self.lock.read());
        let ledger = self.ledger.lock();
        (ledger.placement_allowed || ledger.pieces.values().all(Piece::is_resident)).then_some(guard)
    }

    /// Memory may leave while this lives: no call relies on where it is.
    pub fn suspend(&self) -> WriteGuard<'_, ()> {
        self.lock.write()
    }

    /// Lets new memory be placed, if everything that must be there is: then, and only then, kernels may run.
    pub fn allow_placement(&self) -> bool {
        let mut ledger = self.ledger.lock();
        ledger.placement_allowed = ledger.pieces.values().all(Piece::is_resident);
        ledger.placement_allowed
    }

    /// From now on new memory waits for the grant.
    pub fn forbid_placement(&self) {
        self.ledger.lock().placement_allowed = false;
        self.ledger.notify();
    }

    /// How many bytes of pieces are away from their devices.
    pub fn evicted_bytes(&self) -> u64 {
        let ledger = self.ledger.lock();
        ledger.pieces.values().filter(|piece| !piece.is_resident()).map(|piece| piece.bytes).sum()
    }
}
