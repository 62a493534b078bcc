//! Addresses that the driver chooses for this process.
#![allow(unsafe_code)] // asks the driver for addresses, and for managed memory at addresses
use crate::driver;
use crate::sys::lock::{ReadGuard, RwLock, WriteGuard, rank};
use nvshare_abi::*;
use std::time::Duration;

/// How often addresses are asked for that somebody else has been given meanwhile, and how long after one another: a
/// thread of the application's may map a file there for a moment, of which nobody tells.
const ADDRESS_TRIES: u32 = 200;
const ADDRESS_RETRY_PAUSE: Duration = Duration::from_millis(5);

/// So many reservations are made elsewhere at most, of 32 MiB or more each, until the wanted addresses are given: 12
/// were seen in a program of PyTorch's.
const MAX_SPARE_RESERVATIONS: usize = 256;

/// Who may have addresses chosen: many calls at once, or the one that replaces the memory behind some.
#[derive(Debug, Default)]
pub struct Addresses {
    lock: RwLock<(), { rank::ADDRESSES }>,
}

impl Addresses {
    /// Held while the driver chooses addresses for us: not between the end of managed memory and of what takes its
    /// place.
    pub fn choose(&self) -> ReadGuard<'_, ()> {
        self.lock.read()
    }

    /// Nobody else has addresses chosen while this lives.
    pub fn freeze(&self) -> WriteGuard<'_, ()> {
        self.lock.write()
    }

    /// Reserves addresses anywhere.
    ///
    /// # Errors
    /// The driver's.
    pub fn reserve(&self, bytes: u64) -> Result<u64, CUresult> {
        let _choice = self.choose();
        reserve_near(bytes, 0)
    }
}

/// Reserves addresses, those from `at` on if they can be had.
///
/// # Errors
/// The driver's.
pub fn reserve_near(bytes: u64, at: u64) -> Result<u64, CUresult> {
    let mut start = 0;
    // SAFETY: the pointer is to a local; where addresses are wanted is a hint.
    unsafe { driver::cuMemAddressReserve(&mut start, bytes as usize, 0, at, 0) }.ok()?;
    Ok(start)
}

/// Reserves just these addresses.
///
/// # Errors
/// `NOT_SUPPORTED` if others are given each time; the driver's.
pub fn reserve_at(start: u64, bytes: u64) -> Result<(), CUresult> {
    let (mut elsewhere, mut made) = (Vec::new(), Err(CUresult::ERROR_NOT_SUPPORTED));
    while elsewhere.len() < MAX_SPARE_RESERVATIONS {
        match reserve_near(bytes, start) {
            Ok(at) if at != start => elsewhere.push(at),
            reserved => {
                made = reserved.map(|_| ());
                break;
            }
        }
    }
    elsewhere.into_iter().for_each(|at| unreserve(at, bytes));
    made
}

/// Gives reserved addresses back, at which nothing is mapped any more.
pub fn unreserve(start: u64, bytes: u64) {
    // SAFETY: only addresses; the driver answers with an error where they are not reserved as a whole, or in use.
    unsafe { driver::cuMemAddressFree(start, bytes as usize) };
}

/// Managed memory of the driver's.
///
/// # Errors
/// The driver's.
pub fn make_managed(bytes: u64, flags: c_uint) -> Result<u64, CUresult> {
    let mut start = 0;
    // SAFETY: the pointer is to a local. Without a current context the driver answers with an error.
    unsafe { driver::cuMemAllocManaged(&mut start, bytes as usize, flags) }.ok()?;
    Ok(start)
}

/// Managed memory at just these addresses; false if the driver gives others each time.
pub fn make_managed_at(start: u64, bytes: u64) -> bool {
    let mut elsewhere = Vec::new();
    let made = (0..ADDRESS_TRIES).any(|nth| {
        if nth > 0 {
            std::thread::sleep(ADDRESS_RETRY_PAUSE);
        }
        let at = make_managed(bytes, CU_MEM_ATTACH_GLOBAL);
        elsewhere.extend(at.ok().filter(|at| *at != start));
        at == Ok(start)
    });
    for at in elsewhere {
        // SAFETY: made above, and nobody was told of it.
        unsafe { driver::cuMemFree_v2(at) };
    }
    made
}
