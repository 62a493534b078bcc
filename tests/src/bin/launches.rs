//! For the gate's benchmark: reads a number a line, makes as many launches, answers the nanoseconds.
#![allow(unsafe_code)] // it calls the driver
use anyhow::Result;
use libloading::os::unix::Library;
use std::ffi::{c_uint, c_void};
use std::io::BufRead;
use std::ptr::null_mut;
use std::time::Instant;

type Launch = unsafe extern "C" fn(
    usize,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    usize,
    *mut *mut c_void,
    *mut *mut c_void,
) -> u32;

fn main() -> Result<()> {
    // SAFETY: the benchmark's own driver, with functions of these types.
    let (library, launch) = unsafe {
        let library = Library::new("libcuda.so.1")?;
        let init = library.get::<unsafe extern "C" fn(c_uint) -> u32>(b"cuInit")?;
        anyhow::ensure!(init(0) == 0, "cuInit failed");
        let launch: Launch = *library.get::<Launch>(b"cuLaunchKernel")?;
        (library, launch)
    };
    for line in std::io::stdin().lock().lines() {
        let count: u64 = line?.trim().parse()?;
        let start = Instant::now();
        for _ in 0..count {
            // SAFETY: the benchmark's driver reads none of its arguments.
            unsafe { launch(0, 1, 1, 1, 1, 1, 1, 0, 0, null_mut(), null_mut()) };
        }
        println!("{}", start.elapsed().as_nanos());
    }
    drop(library);
    Ok(())
}
