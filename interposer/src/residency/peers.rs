//! Which devices may use another one's memory, as the application has said it of two contexts or of a pool.
//!
//! What is given is given for all allocations of a device, for those of several contexts and pools share chunks. A
//! program that is refused natively may therefore be let in here; none that is let in natively is refused.
use super::Memory;
use super::book::{Book, Home, PieceId};
use super::piece::own_access;
use nvshare_abi::{CUdevice, CUmemAccessDesc, CUresult};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// What the application has said it of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `cuCtxEnablePeerAccess`: one context may use what another one has.
    Contexts { user: usize, owner: usize },
    /// `cuMemPoolSetAccess`.
    Pool(usize),
}

impl By {
    fn names(self, context: usize) -> bool {
        matches!(self, Self::Contexts { user, owner } if user == context || owner == context)
    }
}

#[derive(Debug, Default)]
pub struct Peers(Vec<(By, DeviceId, CUdevice)>);

impl Peers {
    /// The devices that may use what lies on `owner`, besides itself.
    pub fn guests(&self, owner: DeviceId) -> BTreeSet<CUdevice> {
        self.0.iter().filter(|(_, of, _)| *of == owner).map(|(_, _, guest)| *guest).collect()
    }
}

impl Memory {
    /// From now on `guest` may use what lies on `owner`, which is another device.
    ///
    /// # Errors
    /// The driver's; nothing is changed then.
    pub fn let_in(&self, by: By, owner: DeviceId, guest: CUdevice) -> Result<(), CUresult> {
        let given = (by, owner, guest);
        let mut book = self.book();
        if book.peers.0.contains(&given) {
            return Ok(());
        }
        let done = change(&mut book, owner, |peers| peers.0.push(given));
        if done.is_err() {
            let _ = change(&mut book, owner, |peers| peers.0.retain(|known| *known != given));
        }
        done
    }

    /// `guest` may no longer, so far as it was said `by` this.
    pub fn keep_out(&self, by: By, owner: DeviceId, guest: CUdevice) {
        let _ = change(&mut self.book(), owner, |peers| peers.0.retain(|known| *known != (by, owner, guest)));
    }

    /// What was said of a pool ends with it.
    pub fn forget_access_of_pool(&self, pool: usize) {
        self.forget_access(|by| by == By::Pool(pool));
    }

    /// What was said of a context ends with it.
    pub(super) fn forget_access_of_context(&self, context: usize) {
        self.forget_access(|by| by.names(context));
    }

    fn forget_access(&self, gone: impl Fn(By) -> bool) {
        let mut book = self.book();
        let owners: BTreeSet<DeviceId> =
            book.peers.0.iter().filter(|(by, ..)| gone(*by)).map(|(_, owner, _)| *owner).collect();
        for owner in owners {
            let _ =
                change(&mut book, owner, |peers| peers.0.retain(|(by, of, _)| *of != owner || !gone(*by)));
        }
    }
}

/// Changes what was said, and with it who may access the memory of `owner`: now where it is there, else when it comes.
fn change(book: &mut Book, owner: DeviceId, act: impl FnOnce(&mut Peers)) -> Result<(), CUresult> {
    let before = book.peers.guests(owner);
    act(&mut book.peers);
    let after = book.peers.guests(owner);
    let access = |guest: &CUdevice| {
        let open = own_access(*guest);
        CUmemAccessDesc { flags: if after.contains(guest) { open.flags } else { 0 }, ..open }
    };
    let who: Vec<CUmemAccessDesc> = before.symmetric_difference(&after).map(access).collect();
    if who.is_empty() {
        return Ok(());
    }
    let ids: Vec<PieceId> = book
        .extents
        .values()
        .filter(|extent| extent.device == owner)
        .flat_map(|extent| if let Home::Pieces(ids) = &extent.home { ids.as_slice() } else { &[] })
        .copied()
        .collect();
    ids.iter().try_for_each(|id| book.pieces.get_mut(id).map_or(Ok(()), |piece| piece.allow(&who)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DeviceId = DeviceId([1; 16]);
    const B: DeviceId = DeviceId([2; 16]);

    fn guests(memory: &Memory, owner: DeviceId) -> Vec<CUdevice> {
        memory.book().peers.guests(owner).into_iter().collect()
    }

    #[test]
    fn a_guest_stays_while_anything_that_was_said_lets_it_in() {
        let memory = Memory::new(crate::settings::EngineChoice::Swap);
        let contexts = By::Contexts { user: 10, owner: 20 };
        memory.let_in(contexts, A, 1).unwrap();
        memory.let_in(contexts, A, 1).unwrap();
        memory.let_in(By::Pool(5), A, 1).unwrap();
        memory.let_in(By::Pool(5), A, 2).unwrap();
        assert_eq!((guests(&memory, A), guests(&memory, B)), (vec![1, 2], vec![]));
        memory.keep_out(contexts, A, 1);
        assert_eq!(guests(&memory, A), [1, 2], "the pool still lets it in");
        memory.forget_access_of_pool(5);
        assert_eq!(guests(&memory, A), []);
    }

    #[test]
    fn what_was_said_ends_with_either_context() {
        let memory = Memory::new(crate::settings::EngineChoice::Swap);
        for gone in [10, 20] {
            memory.let_in(By::Contexts { user: 10, owner: 20 }, A, 1).unwrap();
            memory.let_in(By::Contexts { user: 30, owner: 40 }, B, 1).unwrap();
            memory.forget_access_of_context(gone);
            assert_eq!((guests(&memory, A), guests(&memory, B)), (vec![], vec![1]));
        }
    }
}
