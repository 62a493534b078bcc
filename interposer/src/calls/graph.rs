//! Graphs and textures: calls that name addresses of memory, which must be resident.
use super::pointer::Resident;
use crate::dispatch::Disposition;
use crate::process::Process;
use nvshare_abi::*;

/// The driver may look at addresses that the call names. All memory must be resident: which addresses it names is not
/// worked out, and a program whose memory is evicted waits for its turn with its next launch anyway.
pub fn require_resident(process: &'static Process) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let resident = Resident::all(process);
    Disposition::Forward(move |result| {
        drop(resident);
        result
    })
}
