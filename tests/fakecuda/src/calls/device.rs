//! What can be asked of a device.
use crate::driver::put;
use crate::settings::settings;
use crate::sim::process::Process;
use nvshare_abi::*;

/// The device's number, if there is one of that number.
pub fn number(device: CUdevice) -> Result<usize, CUresult> {
    let number = usize::try_from(device).ok().filter(|n| *n < settings().devices);
    number.ok_or(CUresult::ERROR_INVALID_DEVICE)
}

/// The device's UUID: the same in all processes, and no real device's.
fn uuid(device: usize) -> CUuuid {
    let mut bytes = *b"fakecuda-device\0";
    bytes[15] = device as u8;
    CUuuid { bytes: bytes.map(|byte| byte as c_char) }
}

driver! {
    cuDeviceGet(device: *mut CUdevice, ordinal: c_int) |_| { put(device, number(ordinal)? as CUdevice) }

    cuDeviceCanAccessPeer(can: *mut c_int, dev: CUdevice, peer: CUdevice) |_| {
        put(can, c_int::from(number(dev)? != number(peer)?))
    }

    cuDeviceGetCount(count: *mut c_int) |_| { put(count, settings().devices as c_int) }

    cuDeviceGetName(name: *mut c_char, len: c_int, dev: CUdevice) |_| {
        let text = format!("Simulated GPU {}", number(dev)?);
        for (at, byte) in text.bytes().chain([0]).take(len.max(0) as usize).enumerate() {
            put(name.add(at), byte as c_char)?;
        }
        Ok(())
    }

    cuDeviceGetUuid(id: *mut CUuuid, dev: CUdevice) |_| { put(id, uuid(number(dev)?)) }

    cuDeviceGetUuid_v2(id: *mut CUuuid, dev: CUdevice) |_| { put(id, uuid(number(dev)?)) }

    cuDeviceTotalMem_v2(bytes: *mut usize, dev: CUdevice) |_| {
        number(dev)?;
        put(bytes, (settings().memory / settings().byte_scale) as usize)
    }

    cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, dev: CUdevice) |_| {
        number(dev)?;
        put(major, 9)?;
        put(minor, 0)
    }

    cuDeviceGetPCIBusId(text: *mut c_char, len: c_int, dev: CUdevice) |_| {
        let id = format!("0000:{:02x}:00.0", number(dev)? + 1);
        for (at, byte) in id.bytes().chain([0]).take(len.max(0) as usize).enumerate() {
            put(text.add(at), byte as c_char)?;
        }
        Ok(())
    }

    cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, dev: CUdevice) |_| {
        number(dev)?;
        put(value, match attribute {
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT => 132,
            CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING
            | CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY
            | CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS
            | CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED => 1,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR => 9,
            _ => 0,
        })
    }

    cuDevicePrimaryCtxGetState(dev: CUdevice, flags: *mut c_uint, active: *mut c_int) |_| {
        let device = number(dev)?;
        put(flags, 0)?;
        put(active, Process::get()?.inner().contexts.is_active(device).into())
    }
}
