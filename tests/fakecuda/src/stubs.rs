//! What a real driver exports and nobody simulates: there, and not supported.
use nvshare_abi::CUresult;

fn stub(name: &'static str) -> CUresult {
    if std::env::var_os("FAKECUDA_VERBOSE").is_some() {
        eprintln!("fakecuda: {name} is not simulated");
    }
    CUresult::ERROR_NOT_SUPPORTED
}

pub mod all {
    use super::{CUresult, stub};
    include!(concat!(env!("OUT_DIR"), "/stubs.rs"));
}
