//! A hook starts with all capabilities of the engine and drops those that its stage does not need.

use caps::{CapSet, Capability, CapsHashSet};

/// Keeps these capabilities, as far as the process has them, and none that a child could inherit. A capability that cannot
/// be dropped is kept: that is no reason to stop a container.
pub fn keep(wanted: &[Capability]) {
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let kept: CapsHashSet = wanted.iter().copied().filter(|one| permitted.contains(one)).collect();
    let _ = caps::clear(None, CapSet::Ambient);
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding).unwrap_or_default().difference(&kept) {
            let _ = caps::drop(None, CapSet::Bounding, *capability);
        }
    }
    let _ = caps::clear(None, CapSet::Inheritable);
    let _ = caps::set(None, CapSet::Effective, &kept);
    let _ = caps::set(None, CapSet::Permitted, &kept);
}
