//! The pass over memory on the GPU: what is in it.
#![allow(unsafe_code)] // launches the kernel, and reads what it has found
use crate::driver::context::Entered;
use crate::driver::kernel::OwnKernel;
use crate::memory::ledger::PieceId;
use crate::memory::ledger::content::{Found, Hash};
use crate::memory::ledger::sizes::GRANULE;
use crate::sys::{log, random};
use nvshare_abi::{CUresult, c_void};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::OnceLock;

/// Of `content.cu` beside it, which says what it does; a test compares them.
const PTX: &CStr = match CStr::from_bytes_with_nul(concat!(include_str!("content.ptx"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};
const NAME: &CStr = c"nvshare_content";
/// A block looks at a granule.
const THREADS: u32 = 256;
/// Granules that are looked at in one launch: 8 GiB, more than a batch. A larger piece moves whole.
const MOST: usize = 4096;
/// The prime modulo which the hash is computed.
const PRIME: u64 = (1 << 61) - 1;

/// The secret of the hash, as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Keys {
    rows: [u64; 18],
    poly: Hash,
    join: Hash,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    fn new() -> Option<Self> {
        let mut words = [0; 24];
        for pair in words.chunks_exact_mut(2) {
            let bytes = random::random().ok()?;
            pair.copy_from_slice(&[
                u128::from_ne_bytes(bytes) as u64,
                (u128::from_ne_bytes(bytes) >> 64) as u64,
            ]);
        }
        let below = |word: u64| word % PRIME;
        let [rows @ .., p0, p1, p2, j0, j1, j2] = words;
        Some(Self { rows, poly: [p0, p1, p2].map(below), join: [j0, j1, j2].map(below) })
    }
}

/// What the kernel reads and writes, in the host's memory.
#[repr(C)]
struct Buffer {
    granules: [u64; MOST],
    /// The hash, and whether anything is not zero.
    found: [[u64; 4]; MOST],
}

/// A piece that is mapped as a whole where its device may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub piece: PieceId,
    pub at: u64,
    pub bytes: u64,
}

impl Target {
    fn granules(&self) -> usize {
        self.bytes.div_ceil(GRANULE) as usize
    }
}

/// What was found, by piece.
pub type Findings = BTreeMap<PieceId, Vec<Found>>;

/// A launch whose end is still to be awaited, before anything of what it looks at may go.
#[must_use]
#[derive(Debug)]
pub struct Looking {
    kernel: OwnKernel,
    targets: Vec<Target>,
}

#[derive(Debug, Default)]
pub struct Looker {
    keys: OnceLock<Option<Keys>>,
}

impl Looker {
    /// Makes ready to look at memory in this context. The driver compiles the kernel for that, and may load a library: no
    /// lock of ours may be held that a call of the application's waits for, and the gate must be open.
    pub fn load(entered: &mut Entered<'_>) {
        if let Err(code) = entered.load_kernel(|| OwnKernel::load(PTX, NAME, size_of::<Buffer>())) {
            log::debug!("memory cannot be looked at on the GPU (CUDA error {}): all of it moves", code.0);
        }
    }

    /// Begins to look at pieces, from the first on as many as one launch takes. None if that is not possible here.
    pub fn begin(&self, entered: &Entered<'_>, targets: &[Target]) -> Option<Looking> {
        let keys = (*self.keys.get_or_init(Keys::new))?;
        let kernel = entered.kernel()?;
        let mut granules = 0;
        let can = |target: &&Target| target.granules() <= MOST && target.bytes.is_multiple_of(GRANULE);
        let fit = targets.iter().filter(can).take_while(|target| {
            granules += target.granules();
            granules <= MOST
        });
        let targets: Vec<Target> = fit.copied().collect();
        if targets.is_empty() {
            return None;
        }
        match launch(&kernel, keys, &targets) {
            Ok(()) => Some(Looking { kernel, targets }),
            Err(code) => {
                log::debug!("memory is not looked at on the GPU (CUDA error {}): all of it moves", code.0);
                None
            }
        }
    }
}

/// Launches the kernel over the granules of `targets`, of which there are at most [`MOST`].
fn launch(kernel: &OwnKernel, mut keys: Keys, targets: &[Target]) -> Result<(), CUresult> {
    let addresses =
        targets.iter().flat_map(|target| (target.at..target.at + target.bytes).step_by(GRANULE as usize));
    let buffer = kernel.buffer().cast::<Buffer>();
    let mut count = 0_u64;
    for (at, address) in addresses.take(MOST).enumerate() {
        // SAFETY: the buffer has a `Buffer`, and no launch reads it: each is waited for before the next.
        unsafe { (&raw mut (*buffer).granules[at]).write(address) };
        count += 1;
    }
    // SAFETY: addresses within the buffer.
    let (mut granules, mut found) = unsafe { (&raw mut (*buffer).granules, &raw mut (*buffer).found) };
    let mut arguments: [*mut c_void; 4] = [
        (&raw mut granules).cast(),
        (&raw mut found).cast(),
        (&raw mut count).cast(),
        (&raw mut keys).cast(),
    ];
    // SAFETY: what `content.cu` takes. The pieces stay: the ledger is locked until `Looking::finish` has returned.
    unsafe { kernel.launch(count as u32, THREADS, &mut arguments) }
}

impl Looking {
    /// Waits for the launch. What was found, or nothing if it has failed.
    pub fn finish(self) -> Findings {
        if let Err(code) = self.kernel.wait() {
            log::debug!("looking at memory on the GPU has failed (CUDA error {})", code.0);
            return Findings::new();
        }
        let buffer = self.kernel.buffer().cast::<Buffer>().cast_const();
        let mut next = 0;
        let found = self.targets.iter().map(|target| {
            let found = (next..next + target.granules()).map(|at| {
                // SAFETY: the kernel has written it, and nothing writes it now.
                let [a, b, c, any] = unsafe { (&raw const (*buffer).found[at]).read() };
                if any == 0 { Found::Zero } else { Found::Bytes([a, b, c]) }
            });
            let found = (target.piece, found.collect());
            next += target.granules();
            found
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As zlib and Python have it.
    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        };
        !bytes.iter().fold(!0, step)
    }

    #[test]
    fn the_ptx_is_made_of_its_source() {
        let of = format!("CRC-32 {:08x}", crc32(include_bytes!("content.cu")));
        assert!(include_str!("content.ptx").lines().next().unwrap().contains(&of), "run `make ptx`");
    }

    #[test]
    fn keys_are_random_and_below_the_prime() {
        let (a, b) = (Keys::new().unwrap(), Keys::new().unwrap());
        assert_ne!(a.rows, b.rows);
        assert!(a.poly.iter().chain(&a.join).all(|key| *key < PRIME));
        assert_eq!(size_of::<Keys>(), 192, "as in content.cu");
        assert_eq!(format!("{a:?}"), "Keys", "a secret is not printed");
    }
}
