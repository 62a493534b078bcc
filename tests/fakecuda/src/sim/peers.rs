//! Who may touch another device's memory: by context, as `cuCtxEnablePeerAccess` says it, and by pool.
use nvshare_abi::CUresult;
use std::collections::BTreeSet;

#[derive(Default)]
pub struct Peers {
    /// A context, its device, and the context whose memory it may touch.
    contexts: BTreeSet<(usize, usize, usize)>,
    /// A device, and the pool whose memory it may touch.
    pools: BTreeSet<(usize, usize)>,
}

impl Peers {
    pub fn reaches(&self, device: usize, peer: usize) -> bool {
        self.contexts.iter().any(|(_, on, of)| (*on, *of) == (device, peer))
    }

    pub fn reaches_pool(&self, device: usize, pool: usize) -> bool {
        self.pools.contains(&(device, pool))
    }

    pub fn enable(&mut self, context: usize, device: usize, peer: usize) -> Result<(), CUresult> {
        let new = self.contexts.insert((context, device, peer));
        if new { Ok(()) } else { Err(CUresult::ERROR_PEER_ACCESS_ALREADY_ENABLED) }
    }

    pub fn disable(&mut self, context: usize, device: usize, peer: usize) -> Result<(), CUresult> {
        let was = self.contexts.remove(&(context, device, peer));
        if was { Ok(()) } else { Err(CUresult::ERROR_PEER_ACCESS_NOT_ENABLED) }
    }

    /// Ends with either of the two contexts.
    pub fn forget(&mut self, context: usize) {
        self.contexts.retain(|(one, _, other)| *one != context && *other != context);
    }

    pub fn set_pool(&mut self, device: usize, pool: usize, may: bool) {
        if may {
            self.pools.insert((device, pool));
        } else {
            self.pools.remove(&(device, pool));
        }
    }

    pub fn forget_pool(&mut self, pool: usize) {
        self.pools.retain(|(_, of)| *of != pool);
    }
}
