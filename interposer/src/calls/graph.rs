//! Graphs and textures, which name addresses of memory that must be there.
use super::pointer::Resident;
use crate::dispatch::Disposition;
use crate::process::Process;
use nvshare_abi::*;

/// The call names addresses, at which the driver may look. Which ones is not asked: a program that has memory away
/// waits for its turn with its next launch anyway.
pub fn require_resident(process: &'static Process) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let resident = Resident::all(process);
    Disposition::Forward(move |result| {
        drop(resident);
        result
    })
}
