//! Kernels, graphs, host functions.
use crate::driver::Outcome;
use crate::sim::kernels::Kernel;
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::Work;
use nvshare_abi::*;

/// The work of a graph's node, which takes a function, and no kernel of a library in its place (driver 580.159.04).
///
/// # Safety
/// `params` points to a pointer for each of the kernel's parameters.
pub(super) unsafe fn node(f: CUfunction, params: *mut *mut c_void) -> Result<Work, CUresult> {
    let kernel = Process::get()?.inner().modules.functions.get(&(f as usize)).copied();
    // SAFETY: the caller's promise.
    unsafe { work(kernel, params) }
}

/// The work of a kernel. Arguments are read now, as a real driver does it.
///
/// # Safety
/// `params` points to a pointer for each of the kernel's parameters.
unsafe fn work(kernel: Option<Kernel>, params: *mut *mut c_void) -> Result<Work, CUresult> {
    let kernel = kernel.ok_or(CUresult::ERROR_INVALID_HANDLE)?;
    let sizes = kernel.parameters();
    if params.is_null() && !sizes.is_empty() {
        // Arguments packed into a buffer (`extra`) are not simulated.
        return Err(CUresult::ERROR_NOT_SUPPORTED);
    }
    let mut args = Vec::with_capacity(sizes.iter().sum::<usize>() / 4);
    for (at, size) in sizes.iter().enumerate() {
        // SAFETY: the caller's promise; each argument is read in its own size.
        unsafe {
            let argument = *params.add(at);
            match *size {
                4 => args.push(u64::from(*argument.cast::<u32>())),
                // A structure is as many words.
                size => {
                    args.extend((0..size / 8).map(|nth| argument.cast::<u64>().add(nth).read_unaligned()))
                }
            }
        }
    }
    Ok(Work::Kernel { kernel, args })
}

/// # Safety
/// As of [`work`].
unsafe fn launch(f: CUfunction, stream: CUstream, params: *mut *mut c_void, on: Default) -> Outcome {
    let kernel = {
        let inner = Process::get()?.inner();
        let modules = &inner.modules;
        modules.functions.get(&(f as usize)).or(modules.kernels.get(&(f as usize))).copied()
    };
    // SAFETY: the caller's promise.
    let work = unsafe { work(kernel, params)? };
    Process::get()?.submit(stream as usize, on, work).map(|_| ())
}

driver! {
    cuLaunchKernel | cuLaunchKernel_ptsz(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, _shared: c_uint, stream: CUstream, params: *mut *mut c_void, _extra: *mut *mut c_void) |on| {
        if [gx, gy, gz, bx, by, bz].contains(&0) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        launch(f, stream, params, on)
    }

    cuLaunchKernelEx | cuLaunchKernelEx_ptsz(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, _extra: *mut *mut c_void) |on| {
        if config.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        launch(f, (*config).hStream, params, on)
    }

    cuLaunchCooperativeKernel | cuLaunchCooperativeKernel_ptsz(f: CUfunction, _gx: c_uint, _gy: c_uint, _gz: c_uint, _bx: c_uint, _by: c_uint, _bz: c_uint, _shared: c_uint, stream: CUstream, params: *mut *mut c_void) |on| {
        launch(f, stream, params, on)
    }

    cuLaunchHostFunc | cuLaunchHostFunc_ptsz(stream: CUstream, function: CUhostFn, user_data: *mut c_void) |on| {
        let process = Process::get()?;
        process.submit(stream as usize, on, Work::Host { function, data: user_data as usize }).map(|_| ())
    }

    cuGraphLaunch | cuGraphLaunch_ptsz(graph: CUgraphExec, stream: CUstream) |on| {
        Process::get()?.launch_graph(graph as usize, stream as usize, on)
    }

    cuGraphUpload | cuGraphUpload_ptsz(graph: CUgraphExec, _stream: CUstream) |_| {
        let known = Process::get()?.inner().graphs.execs.contains_key(&(graph as usize));
        if known { Ok(()) } else { Err(CUresult::ERROR_INVALID_HANDLE) }
    }
}
