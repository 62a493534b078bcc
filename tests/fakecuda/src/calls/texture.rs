//! Texture objects: made over memory that is there, and nothing more; no kernel here reads one.
use super::array::integer;
use crate::driver::put;
use crate::sim::process::Process;
use nvshare_abi::*;

/// `CU_RESOURCE_TYPE_LINEAR` and `CU_RESOURCE_TYPE_PITCH2D`.
const OVER_MEMORY: std::ops::RangeInclusive<u32> = 2..=3;

driver! {
    cuTexObjectCreate(texture: *mut CUtexObject, resource: *const CUDA_RESOURCE_DESC, how: *const CUDA_TEXTURE_DESC, _view: *const CUDA_RESOURCE_VIEW_DESC) |_| {
        let process = Process::get()?;
        let (_, device) = process.context()?;
        if resource.is_null() || how.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        // Of both kinds the address stands first.
        let at = (*resource).res.linear.devPtr;
        let over_memory = OVER_MEMORY.contains(&integer(&raw const (*resource).resType));
        if over_memory && !process.inner().memory.is_accessible(at, 4, device) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(texture, process.inner().handle() as CUtexObject)
    }

    cuTexObjectDestroy(_texture: CUtexObject) |_| {
        Process::get()?.context()?;
        Ok(())
    }
}
