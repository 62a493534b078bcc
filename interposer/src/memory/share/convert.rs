//! Converts managed memory into pieces at the same addresses, because other processes cannot open managed memory. From
//! then on it stays on the device.
//!
//! The driver gives the addresses of freed managed memory out again, those of 32 MiB and more also to whoever reserves
//! them, once what it has spare elsewhere is taken (`tests/gpu/scripts/facts.sh address`, driver 580.159.04). That is tried out
//! first, with memory of which nothing is lost.
#![allow(unsafe_code)] // frees, maps and copies device memory through the driver
use crate::driver;
use crate::driver::context::Context;
use crate::driver::contexts::Contexts;
use crate::memory::alloc::addresses::{
    Addresses, make_managed, make_managed_at, reserve_at, reserve_near, unreserve,
};
use crate::memory::dependencies::Dependencies;
use crate::memory::ledger::piece::{self, SHAREABLE, SHARED};
use crate::memory::ledger::pieces::PieceKind;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::sizes::{CHUNK_MAX, piece_sizes};
use crate::memory::ledger::{Backing, Ledger, PieceId};
use crate::memory::migrate::residency::Residency;
use crate::sys::log;
use nvshare_abi::*;
use nvshare_protocol::Bytes;
use nvshare_protocol::quantity::show_size;
use std::sync::{Arc, OnceLock};

#[derive(Debug)]
pub struct Converter {
    ledger: Arc<SharedLedger>,
    residency: Arc<Residency>,
    addresses: Arc<Addresses>,
    contexts: Arc<Contexts>,
    /// Whether the driver gives addresses of managed memory back, once that was tried.
    works: OnceLock<bool>,
}

/// Pieces that are to take the place of managed memory, mapped elsewhere until then.
struct Replacement {
    ids: Vec<PieceId>,
    elsewhere: u64,
    start: u64,
    bytes: u64,
}

impl Converter {
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        residency: Arc<Residency>,
        addresses: Arc<Addresses>,
    ) -> Self {
        let contexts = uses.contexts.clone();
        Self { ledger, residency, addresses, contexts, works: OnceLock::new() }
    }

    /// Whether managed memory can become pieces, as far as is known.
    pub fn may_work(&self) -> bool {
        self.works.get() != Some(&false)
    }

    /// Whether it can, which is tried out once: in the current context, while nobody else chooses addresses.
    fn works(&self) -> bool {
        if let Some(known) = self.works.get() {
            return *known;
        }
        let Ok(start) = make_managed(CHUNK_MAX, CU_MEM_ATTACH_GLOBAL) else { return false };
        // SAFETY: just made, and nobody was told of it.
        unsafe { driver::cuMemFree_v2(start) };
        let reserved = reserve_at(start, CHUNK_MAX);
        if reserved.is_ok() {
            unreserve(start, CHUNK_MAX);
        }
        // A refusal for another reason says nothing of the next attempt.
        if reserved.is_ok() || reserved == Err(CUresult::ERROR_NOT_SUPPORTED) {
            let _ = self.works.set(reserved.is_ok());
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
        if !self.works() {
            return Err(CUresult::ERROR_NOT_SUPPORTED);
        }
        // Made and filled elsewhere, so that nothing is lost if it cannot be.
        let elsewhere = reserve_near(bytes, 0)?;
        let mut prop = piece::device_prop(context.device.ordinal);
        prop.requestedHandleTypes |= SHAREABLE;
        let parts = piece_sizes(bytes).into_iter().map(|bytes| (bytes, None));
        let ids = ledger.add_pieces(elsewhere, parts, PieceKind { device, prop, pinned: Some(SHARED) });
        let replacement = Replacement { ids, elsewhere, start, bytes };
        let done = match replacement.fill(&mut ledger, stream) {
            Ok(()) => replacement.take_over(&mut ledger, stream),
            Err(code) => Err(code),
        };
        match (done, ledger.extents.get_mut(&start)) {
            (Ok(()), Some(extent)) => extent.backing = Backing::Pieces(replacement.ids),
            _ => drop(ledger.drop_pieces(&replacement.ids)),
        }
        unreserve(elsewhere, bytes);
        self.ledger.mark_changed();
        done
    }
}

impl Replacement {
    /// Makes the pieces and copies the managed memory into them.
    fn fill(&self, ledger: &mut Ledger, stream: CUstream) -> Result<(), CUresult> {
        ledger.materialize(&self.ids).map_err(|(code, _, _)| code)?;
        self.copy(self.elsewhere, self.start, stream)
    }

    /// Frees the managed memory and moves the pieces to its addresses. Where somebody else has been given these
    /// meanwhile, managed memory comes back; at worst the bytes are lost.
    fn take_over(&self, ledger: &mut Ledger, stream: CUstream) -> Result<(), CUresult> {
        let Self { ids, elsewhere, start, bytes } = self;
        // SAFETY: managed memory that the driver made, which nothing uses while residency is suspended and the gate is
        // shut; its bytes are in the pieces.
        unsafe { driver::cuMemFree_v2(*start) }.ok()?;
        let moved = reserve_at(*start, *bytes).and_then(|()| ledger.move_pieces(ids, *elsewhere, *start));
        let Err(code) = moved else { return Ok(()) };
        if make_managed_at(*start, *bytes) {
            return self.copy(*start, *elsewhere, stream).and(Err(code));
        }
        let size = show_size(Bytes(*bytes));
        log::error!("{size} of memory at {start:#x} are lost: their addresses were taken meanwhile");
        let lost = ledger.extents.remove(start);
        lost.and_then(|extent| extent.arena).and_then(|arena_key| ledger.arenas.remove(&arena_key));
        Err(code)
    }

    fn copy(&self, to: u64, from: u64, stream: CUstream) -> Result<(), CUresult> {
        // SAFETY: at both addresses there is memory of ours of this length, which stays until the wait; our own stream
        // of the context that is current.
        unsafe {
            driver::cuMemcpyDtoDAsync_v2(to, from, self.bytes as usize, stream).ok()?;
            driver::cuStreamSynchronize(stream).ok()
        }
    }
}
