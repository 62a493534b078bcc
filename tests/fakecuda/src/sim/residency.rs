//! Which blocks of managed memory are on a device: bringing them, evicting the least recently used, reclaiming.
//!
//! Every function works on the locked state and says what moved; what that costs in time is `work`'s matter.
use crate::sim::shared::{BLOCK, BLOCKS, DEVICES, PROCESSES, Process, Shared};
use std::ops::Range;

/// Simulated bytes that moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the host to the device.
    pub brought: u64,
    /// Never touched before: only zeroed on the device.
    pub zeroed: u64,
    /// Sent to the host to make room, of whatever process.
    pub evicted: u64,
    /// Wanted, but no room could be made.
    pub missed: u64,
}

/// Reserves `count` blocks in a row for a process's managed memory.
pub fn reserve(shared: &mut Shared, count: usize, slot: usize, device: usize) -> Option<Range<usize>> {
    let mut start = 0;
    let high = shared.high_water as usize;
    for index in 0..high {
        if shared.blocks[index].owner != 0 {
            start = index + 1;
        } else if index + 1 - start == count {
            break;
        }
    }
    let range = start..start.checked_add(count)?;
    if range.end > BLOCKS {
        return None;
    }
    for block in &mut shared.blocks[range.clone()] {
        block.owner = slot as u16 + 1;
        block.device = device as u8;
        block.resident = 0;
        block.populated = 0;
        block.last_use = 0;
    }
    shared.high_water = shared.high_water.max(range.end as u64);
    Some(range)
}

/// Gives blocks back.
pub fn release(shared: &mut Shared, range: Range<usize>) {
    for index in range {
        let block = &mut shared.blocks[index];
        shared.devices[usize::from(block.device)].resident -= u64::from(block.resident);
        block.owner = 0;
        block.resident = 0;
    }
}

/// Simulated bytes that are free on a device.
pub fn free(shared: &Shared, device: usize, memory: u64) -> u64 {
    let device = &shared.devices[device];
    memory.saturating_sub(device.plain + device.resident * BLOCK)
}

/// Makes room for `bytes` by evicting least recently used blocks of anyone, except those in `keep`.
/// Returns the bytes that had to be moved to the host.
pub fn make_room(shared: &mut Shared, device: usize, memory: u64, bytes: u64, keep: &[Range<usize>]) -> u64 {
    let available = free(shared, device, memory);
    if available >= bytes {
        return 0;
    }
    let count = (bytes - available).div_ceil(BLOCK) as usize;
    let high = shared.high_water as usize;
    let mut victims: Vec<(u64, usize)> = (0..high)
        .filter(|i| shared.blocks[*i].resident != 0 && usize::from(shared.blocks[*i].device) == device)
        .filter(|i| !keep.iter().any(|range| range.contains(i)))
        .map(|i| (shared.blocks[i].last_use, i))
        .collect();
    victims.sort_unstable();
    victims.iter().take(count).map(|(_, index)| send_home(shared, *index..*index + 1)).sum()
}

/// Brings blocks to the device, as far as room can be made, and marks them as used.
pub fn bring(shared: &mut Shared, device: usize, memory: u64, ranges: &[Range<usize>]) -> Moved {
    let mut moved = Moved::default();
    let blocks = || ranges.iter().cloned().flatten();
    let missing = blocks().filter(|i| shared.blocks[*i].resident == 0).count() as u64;
    moved.evicted = make_room(shared, device, memory, missing * BLOCK, ranges);
    let mut room = free(shared, device, memory) / BLOCK;
    let mut arrived = 0;
    for index in blocks() {
        shared.uses += 1;
        let now = shared.uses;
        let block = &mut shared.blocks[index];
        if block.resident == 0 {
            if room == 0 {
                moved.missed += BLOCK;
                continue;
            }
            room -= 1;
            arrived += 1;
            block.resident = 1;
            block.device = device as u8;
            let kind = if block.populated != 0 { &mut moved.brought } else { &mut moved.zeroed };
            *kind += BLOCK;
            block.populated = 1;
        }
        block.last_use = now;
    }
    shared.devices[device].resident += arrived;
    moved
}

/// Moves blocks to the host. Returns the bytes that had contents to move.
pub fn send_home(shared: &mut Shared, range: Range<usize>) -> u64 {
    let mut bytes = 0;
    for index in range {
        let block = &mut shared.blocks[index];
        if block.resident != 0 {
            shared.devices[usize::from(block.device)].resident -= 1;
            block.resident = 0;
            bytes += BLOCK * u64::from(block.populated);
        }
    }
    bytes
}

/// Reclaims everything of dead processes, ends what they had running, and counts the totals anew.
pub fn bury(shared: &mut Shared, dead: &[usize], now: u64) {
    for slot in dead {
        shared.processes[*slot] = Process { pid: 0, plain: [0; DEVICES] };
    }
    let mut resident = [0; DEVICES];
    for index in 0..shared.high_water as usize {
        let block = &mut shared.blocks[index];
        if block.owner != 0 && dead.contains(&(usize::from(block.owner) - 1)) {
            block.owner = 0;
            block.resident = 0;
        }
        resident[usize::from(block.device)] += u64::from(block.resident);
    }
    for (number, resident) in resident.into_iter().enumerate() {
        let plain = (0..PROCESSES).map(|slot| shared.processes[slot].plain[number]).sum();
        let device = &mut shared.devices[number];
        device.resident = resident;
        device.plain = plain;
        for engine in [&mut device.compute, &mut device.copy_in, &mut device.copy_out] {
            if dead.contains(&(engine.slot as usize)) {
                engine.free_at = engine.free_at.min(now);
            }
        }
    }
}
