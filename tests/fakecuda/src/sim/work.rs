//! What a stream can be told to do: which engine does it, how long it takes, and what it does to memory.
use crate::settings::settings;
use crate::sim::kernels::{Kernel, fill};
use crate::sim::memory::{Allocations, Kind};
use crate::sim::oplog;
use crate::sim::residency::{self, Moved};
use crate::sim::shared::{Device, Engine, Shared};
use nvshare_abi::{CUhostFn, CUresult};
use std::ops::Range;

#[derive(Clone, Debug)]
pub enum Work {
    /// An event, or a wait for one.
    Nothing,
    Kernel {
        kernel: Kernel,
        args: Vec<u64>,
    },
    /// `height` rows of `width` bytes.
    Copy {
        dst: u64,
        dst_pitch: u64,
        src: u64,
        src_pitch: u64,
        width: u64,
        height: u64,
        direction: Direction,
    },
    /// `height` rows of `width` units of `unit` bytes.
    Set {
        dst: u64,
        pitch: u64,
        value: u32,
        unit: u64,
        width: u64,
        height: u64,
    },
    /// To a device, or to the host.
    Prefetch {
        address: u64,
        bytes: u64,
        to: Option<usize>,
    },
    Host {
        function: CUhostFn,
        data: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
    Within,
    /// Host to host.
    Outside,
}

/// Which engine of a device does the work.
pub fn engine<'a>(work: &Work, device: &'a mut Device) -> Option<&'a mut Engine> {
    match work {
        Work::Kernel { kernel: Kernel::WaitFlag, .. } => None,
        Work::Kernel { .. } | Work::Set { .. } | Work::Copy { direction: Direction::Within, .. } => {
            Some(&mut device.compute)
        }
        Work::Copy { direction: Direction::In, .. } | Work::Prefetch { to: Some(_), .. } => {
            Some(&mut device.copy_in)
        }
        Work::Copy { direction: Direction::Out, .. } | Work::Prefetch { to: None, .. } => {
            Some(&mut device.copy_out)
        }
        _ => None,
    }
}

fn nanos(bytes: u64, bytes_per_second: f64) -> u64 {
    (bytes as f64 / bytes_per_second * 1e9) as u64
}

/// Begins work at `start`: moves what must move, and says how long it takes (simulated nanoseconds).
/// `device` is that of the stream, `slot` this process's.
pub fn begin(
    work: &Work,
    memory: &Allocations,
    shared: &mut Shared,
    device: usize,
    slot: usize,
    start: u64,
) -> Result<u64, CUresult> {
    let settings = settings();
    let scale = settings.byte_scale;
    match work {
        Work::Nothing | Work::Host { .. } => Ok(0),
        Work::Kernel { kernel: Kernel::Spin, args } => {
            let spent = settings.launch_nanos + args[0];
            oplog::note(start, "spin", 0, spent);
            Ok(spent)
        }
        Work::Kernel { kernel, args } => {
            let touches = kernel.touches(args);
            let touched = touches.iter().filter(|touch| touch.bytes > 0);
            let valid = touched.clone().all(|touch| memory.covers(touch.address, touch.bytes));
            if !valid || *kernel == Kernel::Unknown {
                return Err(CUresult::ERROR_ILLEGAL_ADDRESS);
            }
            let bytes: u64 = touched.clone().map(|touch| touch.bytes * touch.passes * scale).sum();
            let blocks = merge(touched.filter_map(|touch| memory.blocks(touch.address, touch.bytes)));
            let spent = settings.launch_nanos + nanos(bytes, settings.compute);
            let (spent, moved) = fault(shared, device, slot, start, &blocks, spent);
            oplog::note(start, kernel.name(), moved.brought, spent);
            Ok(spent)
        }
        Work::Set { dst, pitch, unit, width, height, .. } => {
            let bytes = width * unit * height * scale;
            let span = if *height > 1 { pitch * (height - 1) + width * unit } else { width * unit };
            let blocks = merge(memory.blocks(*dst, span).into_iter());
            let spent = settings.launch_nanos + nanos(bytes, settings.compute);
            let (spent, _) = fault(shared, device, slot, start, &blocks, spent);
            oplog::note(start, "set", bytes, spent);
            Ok(spent)
        }
        Work::Copy { dst, dst_pitch, src, src_pitch, width, height, direction } => {
            let bytes = width * height * scale;
            let span = |pitch: &u64| if *height > 1 { pitch * (height - 1) + width } else { *width };
            let to = memory.blocks(*dst, span(dst_pitch));
            let from = memory.blocks(*src, span(src_pitch));
            let (name, spent) = match direction {
                Direction::In => {
                    let blocks = merge(to.into_iter());
                    let moved = residency::bring(shared, device, settings.memory, &blocks);
                    let spent = nanos(bytes, settings.copy_in);
                    ("copy_in", make_way(shared, device, slot, start, moved.evicted, spent))
                }
                Direction::Out => ("copy_out", nanos(bytes, settings.copy_out)),
                Direction::Within => {
                    let blocks = merge(to.into_iter().chain(from));
                    let spent = settings.launch_nanos + nanos(bytes * 2, settings.compute);
                    ("copy_within", fault(shared, device, slot, start, &blocks, spent).0)
                }
                Direction::Outside => ("copy_outside", 0),
            };
            oplog::note(start, name, bytes, spent);
            Ok(spent)
        }
        Work::Prefetch { address, bytes, to } => {
            let Some(blocks) = memory.blocks(*address, *bytes) else { return Ok(settings.prefetch_nanos) };
            let Some(target) = to else {
                let moved = residency::send_home(shared, blocks);
                let spent = settings.prefetch_nanos + nanos(moved, settings.managed_out);
                oplog::note(start, "prefetch_out", moved, spent);
                return Ok(spent);
            };
            let moved = residency::bring(shared, *target, settings.memory, &[blocks]);
            let spent = settings.prefetch_nanos
                + nanos(moved.brought, settings.copy_in)
                + nanos(moved.zeroed, settings.compute);
            let spent = make_way(shared, *target, slot, start, moved.evicted, spent);
            oplog::note(start, "prefetch_in", moved.brought, spent);
            Ok(spent)
        }
    }
}

/// Brings what is missing by page faults; the time spent with them.
fn fault(
    shared: &mut Shared,
    device: usize,
    slot: usize,
    start: u64,
    blocks: &[Range<usize>],
    spent: u64,
) -> (u64, Moved) {
    let settings = settings();
    let moved = residency::bring(shared, device, settings.memory, blocks);
    let faults = (moved.brought + moved.missed) as f64 * settings.fault_nanos_per_byte;
    let spent = spent + faults as u64 + nanos(moved.zeroed, settings.compute);
    (make_way(shared, device, slot, start, moved.evicted, spent), moved)
}

/// Lets the engine that copies out move the evicted bytes. What made them go ends no earlier.
fn make_way(shared: &mut Shared, device: usize, slot: usize, start: u64, evicted: u64, spent: u64) -> u64 {
    if evicted == 0 {
        return spent;
    }
    let took = nanos(evicted, settings().managed_out);
    let out = &mut shared.devices[device].copy_out;
    let begun = out.free_at.max(start);
    out.free_at = begun + took;
    out.slot = slot as u64;
    oplog::note(begun, "evict", evicted, took);
    spent.max(begun + took - start)
}

/// Ranges in order, overlaps joined, so that no block counts twice.
fn merge(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut sorted: Vec<_> = ranges.collect();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Does what the work does to memory. Called once it has ended in simulated time.
pub fn finish(work: &Work) {
    match work {
        Work::Nothing | Work::Prefetch { .. } => {}
        // SAFETY: `begin` has checked that what it touches is allocated; freeing waits for it.
        Work::Kernel { kernel, args } => unsafe { kernel.execute(args) },
        Work::Copy { dst, dst_pitch, src, src_pitch, width, height, .. } => {
            for row in 0..*height {
                let (to, from) = (dst + row * dst_pitch, src + row * src_pitch);
                // SAFETY: device addresses were checked at the call; host addresses are the caller's promise.
                unsafe { std::ptr::copy(from as *const u8, to as *mut u8, *width as usize) };
            }
        }
        Work::Set { dst, pitch, value, unit, width, height } => {
            for row in 0..*height {
                // SAFETY: checked at the call.
                unsafe { fill(dst + row * pitch, *value, *unit, *width) };
            }
        }
        Work::Host { function, data } => {
            if let Some(function) = function {
                // SAFETY: the application's function and its argument.
                unsafe { function(*data as *mut _) };
            }
        }
    }
}

/// Which way a copy goes, by what its ends are.
pub fn direction(memory: &Allocations, dst: u64, src: u64) -> Direction {
    let on_device = |at| memory.find(at).is_some_and(|a| !matches!(a.kind, Kind::Host { .. }));
    match (on_device(dst), on_device(src)) {
        (true, true) => Direction::Within,
        (true, false) => Direction::In,
        (false, true) => Direction::Out,
        (false, false) => Direction::Outside,
    }
}
