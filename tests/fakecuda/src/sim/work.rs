//! What a stream can be told to do: which engine does it, and what of memory it touches.
use crate::sim::kernels::Kernel;
use crate::sim::ledger::Allocations;
use crate::sim::shared::{Device, Engine};
use nvshare_abi::{CUhostFn, CUresult, CUstreamCallback};

#[derive(Clone, Debug)]
pub enum Work {
    /// An event, or a wait for one.
    Nothing,
    Kernel {
        kernel: Kernel,
        args: Vec<u64>,
    },
    /// `depth` slices of `height` rows of `width` bytes.
    Copy {
        dst: End,
        src: End,
        width: u64,
        height: u64,
        depth: u64,
        direction: Direction,
        /// Whether an end is memory of the host that is not page-locked.
        pageable: bool,
        /// Whether the call named the contexts of both ends.
        named: bool,
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
    /// The end of an allocation of a pool.
    Free {
        start: u64,
    },
    Host {
        function: CUhostFn,
        data: usize,
    },
    /// A host function of the old kind.
    Callback {
        function: CUstreamCallback,
        stream: usize,
        data: usize,
    },
    /// A word of 4 or 8 bytes.
    Write {
        at: u64,
        value: u64,
        wide: bool,
    },
    /// Until such a word has come to a value; `how` as in `CUstreamWaitValue_flags`.
    Await {
        at: u64,
        value: u64,
        wide: bool,
        how: u32,
    },
}

impl Work {
    /// Whether it ends when a word in memory says so.
    pub fn awaits(&self) -> bool {
        matches!(self, Self::Kernel { kernel: Kernel::WaitFlag, .. } | Self::Await { .. })
    }

    /// Whether that word says so.
    ///
    /// # Safety
    /// The word is real memory of this process.
    pub unsafe fn has_come(&self) -> bool {
        let read = |at: u64, wide: bool| {
            // SAFETY: the caller's promise.
            unsafe {
                if wide {
                    (at as *const u64).read_volatile()
                } else {
                    u64::from((at as *const u32).read_volatile())
                }
            }
        };
        match self {
            Self::Kernel { args, .. } => read(args[0], false) != 0,
            Self::Await { at, value, wide, how } => {
                let word = read(*at, *wide);
                let difference = word.wrapping_sub(*value);
                match how {
                    0 if *wide => difference as i64 >= 0,
                    0 => difference as i32 >= 0,
                    1 => word == *value,
                    2 => word & value != 0,
                    _ => !(word | value) != 0,
                }
            }
            _ => true,
        }
    }
}

/// One end of a copy: where it begins, and how far its rows and its slices are apart.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub at: u64,
    pub pitch: u64,
    pub slice: u64,
}

impl End {
    /// So many bytes, rows and slices from an address on.
    ///
    /// # Errors
    /// `INVALID_VALUE` beyond all addresses.
    pub fn within(start: u64, [x, y, z]: [u64; 3], pitch: u64, slice: u64) -> Result<Self, CUresult> {
        let rows = y.checked_mul(pitch).zip(z.checked_mul(slice));
        let at = rows.and_then(|(y, z)| start.checked_add(x)?.checked_add(y)?.checked_add(z));
        at.map(|at| Self { at, pitch, slice }).ok_or(CUresult::ERROR_INVALID_VALUE)
    }

    /// From the first byte to the last; more than any memory has where that cannot be said.
    pub fn span(&self, width: u64, height: u64, depth: u64) -> u64 {
        self.slice.saturating_mul(depth - 1).saturating_add(span(self.pitch, width, height))
    }
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
        work if work.awaits() => None,
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

/// Whether a device may touch all that work touches of its memory.
pub fn is_valid(work: &Work, memory: &Allocations, device: usize) -> bool {
    let may = |at: u64, bytes: u64| memory.is_accessible(at, bytes, device);
    match work {
        Work::Kernel { kernel, args } => {
            let mut touched = kernel.touches(args).into_iter().filter(|touch| touch.bytes > 0);
            touched.all(|touch| may(touch.address, touch.bytes)) && *kernel != Kernel::Unknown
        }
        Work::Set { dst, pitch, unit, width, height, .. } => may(*dst, span(*pitch, width * unit, *height)),
        Work::Copy { dst, src, width, height, depth, direction, named, .. } => {
            let may =
                |end: &End| memory.is_copyable(end.at, end.span(*width, *height, *depth), device, *named);
            let (to, from) = (|| may(dst), || may(src));
            match direction {
                Direction::In => to(),
                Direction::Out => from(),
                Direction::Within => to() && from(),
                Direction::Outside => true,
            }
        }
        Work::Write { at, wide, .. } | Work::Await { at, wide, .. } => may(*at, if *wide { 8 } else { 4 }),
        _ => true,
    }
}

/// From the first byte of the first row to the last of the last, as above.
pub fn span(pitch: u64, width: u64, height: u64) -> u64 {
    pitch.saturating_mul(height - 1).saturating_add(width)
}

/// Which way a copy goes, by what its ends are.
pub fn direction(memory: &Allocations, dst: u64, src: u64) -> Direction {
    match (memory.is_device(dst), memory.is_device(src)) {
        (true, true) => Direction::Within,
        (true, false) => Direction::In,
        (false, true) => Direction::Out,
        (false, false) => Direction::Outside,
    }
}
