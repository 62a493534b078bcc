//! Managed memory that becomes pieces, at its addresses: for what managed memory cannot do, which is to be opened by
//! other processes. From then on it stays on the device.
//!
//! The driver gives the addresses of freed managed memory out again, those of 32 MiB and more also to whoever reserves
//! them, once what it has spare elsewhere is taken (`tests/gpu/facts.sh address`, driver 580.159.04). That is tried out
//! first, with memory of which nothing is lost.
#![allow(unsafe_code)] // frees, maps and copies device memory through the driver
use crate::driver;
use crate::driver::context::Context;
use crate::memory::Memory;
use crate::memory::alloc::addresses::{make_managed, make_managed_at, reserve_at, reserve_near, unreserve};
use crate::memory::ledger::Backing;
use crate::memory::ledger::piece::{self, SHAREABLE, SHARED};
use crate::memory::ledger::pieces::PieceKind;
use crate::memory::ledger::sizes::{CHUNK_MAX, piece_sizes};
use crate::sys::log;
use nvshare_abi::*;

impl Memory {
    /// Whether managed memory can become pieces, as far as is known.
    pub fn may_convert(&self) -> bool {
        self.converts.get() != Some(&false)
    }

    /// The same, tried out if it was not: in the context that is current, with nobody else choosing addresses.
    fn conversion_works(&self) -> bool {
        if let Some(known) = self.converts.get() {
            return *known;
        }
        let Ok(start) = make_managed(CHUNK_MAX, CU_MEM_ATTACH_GLOBAL) else { return false };
        // SAFETY: just made, and nobody else's.
        unsafe { driver::cuMemFree_v2(start) };
        let reserved = reserve_at(start, CHUNK_MAX);
        if reserved.is_ok() {
            unreserve(start, CHUNK_MAX);
        }
        // What was refused for another reason may go another time.
        if reserved.is_ok() || reserved == Err(CUresult::ERROR_NOT_SUPPORTED) {
            let _ = self.converts.set(reserved.is_ok());
        }
        reserved.is_ok()
    }

    /// Makes pieces of the managed memory that is to become such. Only the agent calls this, while nothing of this
    /// process is in flight, no capture goes on and the devices are ours.
    pub fn convert_managed(&self) {
        let wanted: Vec<u64> = self.ledger.lock().to_convert.iter().copied().collect();
        for start in wanted {
            let context = self.ledger.lock().extents.get(&start).map(|extent| extent.context);
            let context = context.and_then(|context| self.contexts.named(context));
            if let Some(Err(code)) = context.map(|context| self.convert_one(&context, start)) {
                log::warning!("managed memory stays managed memory (CUDA error {})", code.0);
            }
            self.ledger.lock().to_convert.remove(&start);
        }
        self.ledger.notify();
    }

    fn convert_one(&self, context: &Context, start: u64) -> Result<(), CUresult> {
        let _nothing_stays = self.residency.suspend();
        let _nobody_else = self.addresses.freeze();
        let mut ledger = self.ledger.lock();
        let Some(extent) = ledger.extents.get(&start).filter(|extent| extent.is_convertible(start)) else {
            return Ok(());
        };
        let (bytes, device) = (extent.bytes, extent.device);
        let mut entered = context.enter().ok_or(CUresult::ERROR_CONTEXT_IS_DESTROYED)?;
        let stream = entered.stream()?;
        let copy = |to, from| {
            // SAFETY: as many bytes of memory of ours as both have, our own stream, and both stay until the wait.
            unsafe {
                driver::cuMemcpyDtoDAsync_v2(to, from, bytes as usize, stream).ok()?;
                driver::cuStreamSynchronize(stream).ok()
            }
        };
        if !self.conversion_works() {
            return Err(CUresult::ERROR_NOT_SUPPORTED);
        }
        // Made and filled elsewhere, so that nothing is lost if it cannot be.
        let meanwhile = reserve_near(bytes, 0)?;
        let mut prop = piece::device_prop(context.device.ordinal);
        prop.requestedHandleTypes |= SHAREABLE;
        let parts = piece_sizes(bytes).into_iter().map(|bytes| (bytes, None));
        let ids = ledger.add_pieces(meanwhile, parts, PieceKind { device, prop, pinned: Some(SHARED) });
        let made =
            ledger.materialize(&ids).map_err(|(code, _, _)| code).and_then(|()| copy(meanwhile, start));
        // SAFETY: managed memory of the driver's, which nothing uses; its bytes are in the pieces.
        let freed = made.and_then(|()| unsafe { driver::cuMemFree_v2(start) }.ok());
        if let Err(code) = freed {
            ledger.drop_pieces(&ids);
            unreserve(meanwhile, bytes);
            return Err(code);
        }
        let moved = reserve_at(start, bytes).and_then(|()| ledger.move_pieces(&ids, meanwhile, start));
        let done = match moved {
            Ok(()) => Ok(()),
            Err(code) if make_managed_at(start, bytes) => copy(start, meanwhile).and(Err(code)),
            Err(code) => {
                log::error!(
                    "{bytes} bytes of memory at {start:#x} are lost: their addresses were taken meanwhile"
                );
                let lost = ledger.extents.remove(&start);
                lost.and_then(|extent| extent.arena).and_then(|arena_key| ledger.arenas.remove(&arena_key));
                Err(code)
            }
        };
        match (done, ledger.extents.get_mut(&start)) {
            (Ok(()), Some(extent)) => extent.backing = Backing::Pieces(ids),
            _ => drop(ledger.drop_pieces(&ids)),
        }
        unreserve(meanwhile, bytes);
        self.ledger.mark_changed();
        done
    }
}
