//! The kernels that the device can run, by name: what each touches, and what it does to memory.
use super::content;
use std::collections::BTreeMap;

/// A module or a library: the entries of its PTX.
#[derive(Default)]
pub struct Modules {
    pub modules: BTreeMap<usize, Vec<String>>,
    /// Functions of a context, by handle. They can be launched, and be in a graph's nodes.
    pub functions: BTreeMap<usize, Kernel>,
    /// Kernels of a library, by handle. They can be launched.
    pub kernels: BTreeMap<usize, Kernel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    VectorAdd,
    Fill,
    AddOne,
    Spin,
    WaitFlag,
    /// The library's own: what is in granules of memory.
    Content,
    /// In the module, but nothing that this device can execute.
    Unknown,
}

/// A range of device memory, and how many times its bytes cross the memory bus.
pub struct Touch {
    pub address: u64,
    pub bytes: u64,
    pub passes: u64,
}

impl Kernel {
    pub fn named(name: &str) -> Self {
        match name {
            "vector_add" => Self::VectorAdd,
            "fill" => Self::Fill,
            "add_one" => Self::AddOne,
            "spin" => Self::Spin,
            "wait_flag" => Self::WaitFlag,
            "nvshare_content" => Self::Content,
            _ => Self::Unknown,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::VectorAdd => "vector_add",
            Self::Fill => "fill",
            Self::AddOne => "add_one",
            Self::Spin => "spin",
            Self::WaitFlag => "wait_flag",
            Self::Content => "content",
            Self::Unknown => "unknown",
        }
    }

    /// The sizes of its parameters, bytes.
    pub fn parameters(self) -> &'static [usize] {
        match self {
            Self::VectorAdd => &[8, 8, 8, 8],
            Self::Fill => &[8, 4, 8],
            Self::AddOne => &[8, 8],
            Self::Spin | Self::WaitFlag => &[8],
            Self::Content => &[8, 8, 8, 192],
            Self::Unknown => &[],
        }
    }

    pub fn touches(self, args: &[u64]) -> Vec<Touch> {
        let words = |n: u64| n.saturating_mul(4);
        let touch = |address, bytes, passes| Touch { address, bytes, passes };
        match (self, args) {
            (Self::VectorAdd, [c, a, b, n]) => [*c, *a, *b].map(|at| touch(at, words(*n), 1)).into(),
            (Self::Fill, [p, _, n]) => vec![touch(*p, words(*n), 1)],
            (Self::AddOne, [p, n]) => vec![touch(*p, words(*n), 2)],
            (Self::WaitFlag, [flag]) => vec![touch(*flag, 4, 1)],
            (Self::Content, [granules, _, count, ..]) => {
                // SAFETY: memory of the host, as the library launches it.
                let granules = unsafe { content::addresses(*granules, *count) };
                granules.iter().map(|at| touch(*at, content::GRANULE, 1)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Does what the kernel does.
    ///
    /// # Safety
    /// The ranges of `touches` are real memory of this process.
    pub unsafe fn execute(self, args: &[u64]) {
        match (self, args) {
            (Self::VectorAdd, [c, a, b, n]) => {
                let (c, a, b) = (*c as *mut f32, *a as *const f32, *b as *const f32);
                for i in 0..*n as usize {
                    // SAFETY: within the ranges that the caller vouches for; they may be the same.
                    unsafe { c.add(i).write(a.add(i).read() + b.add(i).read()) };
                }
            }
            (Self::Fill, [p, value, n]) => {
                // SAFETY: as above.
                unsafe { fill(*p, *value as u32, 4, *n) };
            }
            (Self::AddOne, [p, n]) => {
                // SAFETY: as above; nothing else in this process touches it while the device does.
                let words = unsafe { std::slice::from_raw_parts_mut(*p as *mut u32, *n as usize) };
                words.iter_mut().for_each(|word| *word = word.wrapping_add(1));
            }
            (Self::Content, [granules, found, count, keys @ ..]) => {
                let Some(keys) = content::Keys::from_words(keys) else { return };
                // SAFETY: as above, and memory of the host, as the library launches it.
                unsafe {
                    let granules = content::addresses(*granules, *count);
                    let found = std::slice::from_raw_parts_mut(*found as *mut [u64; 4], granules.len());
                    for (at, found) in granules.iter().zip(found) {
                        let words = std::slice::from_raw_parts(*at as *const u32, content::WORDS);
                        *found = content::look(words, &keys);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Writes `count` units of `unit` bytes (1, 2 or 4).
///
/// # Safety
/// The range is real memory of this process.
pub unsafe fn fill(address: u64, value: u32, unit: u64, count: u64) {
    let count = count as usize;
    if count == 0 {
        return;
    }
    match unit {
        // SAFETY: the caller's promise.
        1 => unsafe { std::slice::from_raw_parts_mut(address as *mut u8, count) }.fill(value as u8),
        // SAFETY: as above.
        2 => unsafe { std::slice::from_raw_parts_mut(address as *mut u16, count) }.fill(value as u16),
        // SAFETY: as above.
        _ => unsafe { std::slice::from_raw_parts_mut(address as *mut u32, count) }.fill(value),
    }
}
