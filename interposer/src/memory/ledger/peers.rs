//! Which devices may use another one's memory, as the application has said it of two contexts or of a pool.
//!
//! Access is granted to all allocations of a device, because allocations of several contexts and pools share chunks.
//! So a program may be granted here what it is refused natively, but never the reverse.
use crate::memory::ledger::piece::read_write_access;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::{Backing, Ledger, PieceId};
use nvshare_abi::{CUdevice, CUmemAccessDesc, CUresult};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// What the application has granted access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessScope {
    /// `cuCtxEnablePeerAccess`: one context may use what another one has.
    Contexts { user: usize, owner: usize },
    /// `cuMemPoolSetAccess`.
    Pool(usize),
}

impl AccessScope {
    fn names(self, context: usize) -> bool {
        matches!(self, Self::Contexts { user, owner } if user == context || owner == context)
    }
}

#[derive(Debug, Default)]
pub struct PeerAccess(Vec<(AccessScope, DeviceId, CUdevice)>);

impl PeerAccess {
    /// The devices that may use what lies on `owner`, besides itself.
    pub fn peers_of(&self, owner: DeviceId) -> BTreeSet<CUdevice> {
        self.0.iter().filter(|(_, of, _)| *of == owner).map(|(_, _, peer)| *peer).collect()
    }
}

impl SharedLedger {
    /// From now on `peer` may use what lies on `owner`, which is another device.
    ///
    /// # Errors
    /// The driver's; nothing is changed then.
    pub fn grant_access(&self, by: AccessScope, owner: DeviceId, peer: CUdevice) -> Result<(), CUresult> {
        let given = (by, owner, peer);
        let mut ledger = self.lock();
        if ledger.peers.0.contains(&given) {
            return Ok(());
        }
        let done = change(&mut ledger, owner, |peers| peers.0.push(given));
        if done.is_err() {
            let _ = change(&mut ledger, owner, |peers| peers.0.retain(|known| *known != given));
        }
        done
    }

    /// `by` no longer grants `peer` access to `owner`. Another grant may still do so.
    pub fn revoke_access(&self, by: AccessScope, owner: DeviceId, peer: CUdevice) {
        let _ = change(&mut self.lock(), owner, |peers| peers.0.retain(|known| *known != (by, owner, peer)));
    }

    /// A pool's grants end with it.
    pub fn drop_access_of_pool(&self, pool: usize) {
        self.drop_access(|by| by == AccessScope::Pool(pool));
    }

    /// A context's grants end with it.
    pub fn drop_access_of_context(&self, context: usize) {
        self.drop_access(|by| by.names(context));
    }

    fn drop_access(&self, gone: impl Fn(AccessScope) -> bool) {
        let mut ledger = self.lock();
        let owners: BTreeSet<DeviceId> =
            ledger.peers.0.iter().filter(|(by, ..)| gone(*by)).map(|(_, owner, _)| *owner).collect();
        for owner in owners {
            let _ =
                change(&mut ledger, owner, |peers| peers.0.retain(|(by, of, _)| *of != owner || !gone(*by)));
        }
    }
}

/// Changes the grants, and with them who may access the memory of `owner`: at once where it is on the device, else when
/// it is restored.
fn change(ledger: &mut Ledger, owner: DeviceId, act: impl FnOnce(&mut PeerAccess)) -> Result<(), CUresult> {
    let before = ledger.peers.peers_of(owner);
    act(&mut ledger.peers);
    let after = ledger.peers.peers_of(owner);
    let access = |peer: &CUdevice| {
        let open = read_write_access(*peer);
        CUmemAccessDesc { flags: if after.contains(peer) { open.flags } else { 0 }, ..open }
    };
    let who: Vec<CUmemAccessDesc> = before.symmetric_difference(&after).map(access).collect();
    if who.is_empty() {
        return Ok(());
    }
    let ids: Vec<PieceId> = ledger
        .extents
        .values()
        .filter(|extent| extent.device == owner)
        .flat_map(|extent| if let Backing::Pieces(ids) = &extent.backing { ids.as_slice() } else { &[] })
        .copied()
        .collect();
    ids.iter().try_for_each(|id| ledger.pieces.get_mut(id).map_or(Ok(()), |piece| piece.set_access(&who)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DeviceId = DeviceId([1; 16]);
    const B: DeviceId = DeviceId([2; 16]);

    fn peers_of(ledger: &SharedLedger, owner: DeviceId) -> Vec<CUdevice> {
        ledger.lock().peers.peers_of(owner).into_iter().collect()
    }

    #[test]
    fn a_guest_stays_while_anything_that_was_said_lets_it_in() {
        let ledger = SharedLedger::new(std::sync::Arc::default());
        let contexts = AccessScope::Contexts { user: 10, owner: 20 };
        ledger.grant_access(contexts, A, 1).unwrap();
        ledger.grant_access(contexts, A, 1).unwrap();
        ledger.grant_access(AccessScope::Pool(5), A, 1).unwrap();
        ledger.grant_access(AccessScope::Pool(5), A, 2).unwrap();
        assert_eq!((peers_of(&ledger, A), peers_of(&ledger, B)), (vec![1, 2], vec![]));
        ledger.revoke_access(contexts, A, 1);
        assert_eq!(peers_of(&ledger, A), [1, 2], "the pool still lets it in");
        ledger.drop_access_of_pool(5);
        assert_eq!(peers_of(&ledger, A), []);
    }

    #[test]
    fn what_was_said_ends_with_either_context() {
        let ledger = SharedLedger::new(std::sync::Arc::default());
        for gone in [10, 20] {
            ledger.grant_access(AccessScope::Contexts { user: 10, owner: 20 }, A, 1).unwrap();
            ledger.grant_access(AccessScope::Contexts { user: 30, owner: 40 }, B, 1).unwrap();
            ledger.drop_access_of_context(gone);
            assert_eq!((peers_of(&ledger, A), peers_of(&ledger, B)), (vec![], vec![1]));
        }
    }
}
