//! The effects of work: what it moves and how long it takes when it begins, what it does to memory when it ends.
use crate::settings::settings;
use crate::sim::kernels::{Kernel, fill};
use crate::sim::ledger::Allocations;
use crate::sim::oplog;
use crate::sim::residency::{self, Moved};
use crate::sim::shared::Shared;
use crate::sim::work::{Direction, End, Work, is_valid, span};
use nvshare_abi::CUresult;
use std::ops::Range;

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
    if !is_valid(work, memory, device) {
        return Err(CUresult::ERROR_ILLEGAL_ADDRESS);
    }
    match work {
        Work::Kernel { kernel: Kernel::Spin, args } => {
            let spent = settings.launch_nanos + args[0];
            oplog::note(start, "spin", 0, spent);
            Ok(spent)
        }
        Work::Kernel { kernel, args } => {
            let touches = kernel.touches(args);
            let touched = touches.iter().filter(|touch| touch.bytes > 0);
            let bytes: u64 = touched.clone().map(|touch| touch.bytes * touch.passes * scale).sum();
            let blocks = merge(touched.filter_map(|touch| memory.blocks(touch.address, touch.bytes)));
            let spent = settings.launch_nanos + nanos(bytes, settings.compute);
            let (spent, moved) = fault(shared, device, slot, start, &blocks, spent);
            oplog::note(start, kernel.name(), moved.brought, spent);
            Ok(spent)
        }
        Work::Set { dst, pitch, unit, width, height, .. } => {
            let bytes = width * unit * height * scale;
            let blocks = merge(memory.blocks(*dst, span(*pitch, width * unit, *height)).into_iter());
            let spent = settings.launch_nanos + nanos(bytes, settings.compute);
            let (spent, _) = fault(shared, device, slot, start, &blocks, spent);
            oplog::note(start, "set", bytes, spent);
            Ok(spent)
        }
        Work::Copy { dst, src, width, height, depth, direction, pageable, .. } => {
            let rate = |engine: f64| if *pageable { engine.min(settings.pageable) } else { engine };
            let bytes = width * height * depth * scale;
            let to = memory.blocks(dst.at, dst.span(*width, *height, *depth));
            let from = memory.blocks(src.at, src.span(*width, *height, *depth));
            let (name, spent) = match direction {
                Direction::In => {
                    let blocks = merge(to.into_iter());
                    let moved = residency::bring(shared, device, settings.memory, &blocks);
                    let spent = nanos(bytes, rate(settings.copy_in));
                    ("copy_in", make_way(shared, device, slot, start, moved.evicted, spent))
                }
                Direction::Out => ("copy_out", nanos(bytes, rate(settings.copy_out))),
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
        _ => Ok(0),
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

/// Does what the work does to memory. Called once it has ended in simulated time, and while the layout of memory
/// cannot change; what is valid then ([`is_valid`]) is there.
pub fn finish(work: &Work) {
    match work {
        Work::Nothing | Work::Prefetch { .. } | Work::Free { .. } | Work::Await { .. } => {}
        // SAFETY: the caller has checked that all it touches is there, and keeps it there meanwhile.
        Work::Kernel { kernel, args } => unsafe { kernel.execute(args) },
        Work::Copy { dst, src, width, height, depth, .. } => {
            for (slice, row) in (0..*depth).flat_map(|slice| (0..*height).map(move |row| (slice, row))) {
                let at = |end: &End| end.at + slice * end.slice + row * end.pitch;
                let (to, from) = (at(dst), at(src));
                // SAFETY: as above; host addresses are the application's promise.
                unsafe { std::ptr::copy(from as *const u8, to as *mut u8, *width as usize) };
            }
        }
        Work::Set { dst, pitch, value, unit, width, height } => {
            for row in 0..*height {
                // SAFETY: as above.
                unsafe { fill(dst + row * pitch, *value, *unit, *width) };
            }
        }
        Work::Write { at, value, wide } => {
            // SAFETY: as above.
            unsafe {
                if *wide {
                    (*at as *mut u64).write_volatile(*value);
                } else {
                    (*at as *mut u32).write_volatile(*value as u32);
                }
            }
        }
        Work::Callback { function, stream, data } => {
            if let Some(function) = function {
                // SAFETY: the application's function and its argument.
                unsafe { function(*stream as *mut _, CUresult::SUCCESS, *data as *mut _) };
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
