//! One device, as the driver describes it.
#![allow(unsafe_code)] // it asks the driver
use crate::driver;
use nvshare_abi::*;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::atomic::AtomicUsize;

#[derive(Debug)]
pub struct Device {
    pub ordinal: CUdevice,
    pub id: DeviceId,
    pub capacity: Bytes,
    pub name: String,
    /// Whether managed memory can be prefetched on this device.
    pub movable: bool,
    /// Whether physical memory can be mapped on this device.
    pub pieces: bool,
    /// The handle of its primary context, which the driver gives out again after a reset.
    pub(super) primary: AtomicUsize,
}

pub(super) fn describe(ordinal: CUdevice) -> Option<Device> {
    let mut uuid = CUuuid { bytes: [0; 16] };
    let (mut capacity, mut movable, mut pieces, mut name) = (0, 0, 0, [0; 96]);
    // SAFETY: every pointer is to a local of the type and length that the call is given.
    let known = unsafe {
        let mut code = driver::cuDeviceGetUuid_v2(&mut uuid, ordinal);
        if code == CUresult::ERROR_NOT_FOUND {
            code = driver::cuDeviceGetUuid(&mut uuid, ordinal);
        }
        driver::cuDeviceGetAttribute(&mut movable, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, ordinal);
        driver::cuDeviceGetAttribute(
            &mut pieces,
            CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
            ordinal,
        );
        driver::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, ordinal);
        code == CUresult::SUCCESS && driver::cuDeviceTotalMem_v2(&mut capacity, ordinal) == CUresult::SUCCESS
    };
    let name: Vec<u8> = name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    known.then(|| Device {
        ordinal,
        id: DeviceId(uuid.bytes.map(|byte| byte as u8)),
        capacity: Bytes(capacity as u64),
        name: String::from_utf8_lossy(&name).into_owned(),
        movable: movable != 0,
        pieces: pieces != 0,
        primary: AtomicUsize::new(0),
    })
}

/// Whether the device's primary context is alive; true if the driver does not say.
pub fn is_primary_active(ordinal: CUdevice) -> bool {
    let (mut flags, mut active) = (0, 1);
    // SAFETY: pointers to locals.
    unsafe { driver::cuDevicePrimaryCtxGetState(ordinal, &mut flags, &mut active) };
    active != 0
}
