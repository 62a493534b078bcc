//! `cuGetProcAddress` by the recording of a real driver: the same answer for every name, flag and version.
use crate::calls;
use crate::stubs::all as stubs;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The address of an exported function.
#[derive(Clone, Copy)]
pub struct Address(*const ());
// SAFETY: the address of a function is the same for every thread, and nothing is read through it here.
unsafe impl Sync for Address {}
// SAFETY: as above.
unsafe impl Send for Address {}

include!(concat!(env!("OUT_DIR"), "/recording.rs"));

mod signatures {
    use crate::calls;
    use nvshare_abi::*;
    include!(concat!(env!("OUT_DIR"), "/signatures.rs"));
}

/// What a real driver answered: the return code, the query status and the address.
pub struct Answer {
    pub code: u32,
    pub status: u32,
    pub address: *const (),
}

/// The recorded answer for a name, flags (0, 1 or 2) and a version as `12080`.
pub fn answer(name: &str, flags: u64, version: i32) -> Answer {
    let end = ANSWERS.partition_point(|row| (row.0, row.1, row.2) <= (name, flags, version));
    let row = ANSWERS[..end].last().filter(|row| row.0 == name && row.1 == flags);
    match row.map(|row| row.3) {
        Some(text) if text.starts_with("cu") => Answer { code: 0, status: 0, address: address(text) },
        Some(text) => {
            let (code, status) = text[1..].split_once("/s").expect("the recording says rR/sS");
            let number = |s: &str| s.parse().expect("a number");
            Answer { code: number(code), status: number(status), address: std::ptr::null() }
        }
        // Never asked for in the recording: an unknown name or version, as a driver answers it.
        None => Answer { code: 0, status: 1, address: std::ptr::null() },
    }
}

fn address(symbol: &str) -> *const () {
    static BY_NAME: OnceLock<HashMap<&'static str, Address>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| SYMBOLS.iter().copied().collect());
    by_name.get(symbol).expect("every recorded answer is an exported symbol").0
}
