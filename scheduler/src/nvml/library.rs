//! Calls NVML. What it does not tell about a device is left out, and asked again the next time.
use super::{DeviceReport, Inventory, Place};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use nvshare_core::parse;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// The library, initialised; dropped, shut down.
pub struct Library(Nvml);

impl Library {
    /// Loads the library of this name or path.
    ///
    /// # Errors
    /// Where it is missing, or finds no driver.
    pub fn open(name: &str) -> Result<Self, NvmlError> {
        Nvml::builder().lib_path(OsStr::new(name)).init().map(Self)
    }

    /// Every device and MIG instance that can be asked; none: there is no driver to ask.
    pub fn inventory(&self) -> Option<Inventory> {
        let count = self.0.device_count().inspect_err(|error| failed("the number of GPUs", error)).ok()?;
        let mut all = Inventory { devices: Vec::new(), complete: true, question: 0 };
        for index in 0..count {
            match self.0.device_by_index(index) {
                Ok(device) => parts(&device, index, &mut all),
                Err(error) => {
                    failed(&format!("GPU {index}"), &error);
                    all.complete = false;
                }
            }
        }
        Some(all)
    }
}

/// Adds the MIG instances of a device that is divided; otherwise the device.
fn parts(device: &Device<'_>, index: u32, all: &mut Inventory) {
    // The numbers of NVML follow the bus, and so do nvidia-smi's.
    let place = device.pci_info().inspect_err(|error| failed(&format!("the place of GPU {index}"), error));
    let place = place.ok().map(|pci| Place { index, bus_id: pci.bus_id });
    let divided = device.mig_mode().is_ok_and(|mode| mode.current != 0);
    if !divided {
        return add(device, place, all);
    }
    let most = device.mig_device_count().unwrap_or(0);
    // Not every slot has an instance.
    let instances = (0..most).filter_map(|index| device.mig_device_by_index(index).ok());
    instances.for_each(|instance| add(&instance, place.clone(), all));
}

fn add(device: &Device<'_>, place: Option<Place>, all: &mut Inventory) {
    let uuid = device.uuid().inspect_err(|error| failed("a UUID", error)).ok();
    let Some((uuid, device_id)) = uuid.and_then(|uuid| device_id(&uuid).map(|id| (uuid, id))) else {
        all.complete = false;
        return;
    };
    let memory = device.memory_info().inspect_err(|error| failed(&uuid, error)).ok();
    all.devices.push(DeviceReport {
        device: device_id,
        // What the driver keeps for itself is not part of what CUDA tells (H200, driver 2026: to the byte).
        total: memory.as_ref().map(|memory| Bytes(memory.total.saturating_sub(memory.reserved))),
        used: memory.as_ref().map(|memory| Bytes(memory.used)),
        processes: processes(device).inspect_err(|error| failed(&uuid, error)).ok(),
        // MIG instances do not tell.
        utilization: device.utilization_rates().ok().map(|rates| rates.gpu),
        place,
    });
}

fn processes(device: &Device<'_>) -> Result<Vec<(u32, Bytes)>, NvmlError> {
    let compute = device.running_compute_processes()?;
    // Devices for computing only do not know of graphics.
    let graphics = device.running_graphics_processes().unwrap_or_default();
    let mut processes = BTreeMap::<u32, Bytes>::new();
    for ProcessInfo { pid, used_gpu_memory, .. } in compute.into_iter().chain(graphics) {
        let UsedGpuMemory::Used(bytes) = used_gpu_memory else { continue };
        // One that computes and draws is in both lists with the same sum.
        let known = processes.entry(pid).or_default();
        *known = (*known).max(Bytes(bytes));
    }
    Ok(processes.into_iter().collect())
}

/// `GPU-` or `MIG-` and 32 hexadecimal digits in five groups; CUDA tells the same digits for both.
fn device_id(uuid: &str) -> Option<DeviceId> {
    parse::device(&uuid.replacen("MIG-", "GPU-", 1))
}

fn failed(what: &str, error: &NvmlError) {
    tracing::debug!("NVML does not tell {what}: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_instances_are_known_by_their_digits() {
        let digits = "30313233-3435-3637-3839-616263646566";
        let id = Some(DeviceId(*b"0123456789abcdef"));
        assert_eq!(device_id(&format!("GPU-{digits}")), id);
        assert_eq!(device_id(&format!("MIG-{digits}")), id);
        assert_eq!(device_id(&format!("MIG-GPU-{digits}/1/0")), None, "drivers before 470");
    }
}
