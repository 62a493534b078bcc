//! The simulated driver as a program sees it: opened by path, called by name.
#![allow(unsafe_code, dead_code)] // it calls a C library; each test uses a part of this
#![allow(clippy::undocumented_unsafe_blocks)] // all blocks: NVIDIA's function of that name, with pointers to locals

use libloading::os::unix::Library;
use std::ffi::{CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The built library, which cargo puts beside the tests.
pub fn built() -> PathBuf {
    let exe = std::env::current_exe().expect("the test's own path");
    let deps = exe.parent().expect("a folder");
    let found =
        [deps.join("libfakecuda.so"), deps.join("../libfakecuda.so")].into_iter().find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("no libfakecuda.so in {}: run `cargo build -p fakecuda`", deps.display()))
}

/// Calls a driver function by name; every argument as a `u64`, as the x86-64 and aarch64 ABIs pass integers.
#[macro_export]
macro_rules! call {
    ($cuda:expr, $name:literal $(, $arg:expr)*) => {{
        type F = unsafe extern "C" fn($($crate::call!(@u64 $arg)),*) -> u32;
        #[allow(
            unsafe_code,
            unused_unsafe,
            clippy::macro_metavars_in_unsafe,
            reason = "tests call it in unsafe blocks and outside, and all that it is given are numbers"
        )]
        // SAFETY: the symbol is the driver's function of this name; each test passes what that function asks for, and
        // integers and pointers go in the same registers.
        unsafe {
            let f: F = std::mem::transmute($cuda.address($name));
            f($($arg as u64),*)
        }
    }};
    (@u64 $arg:expr) => { u64 };
}

/// As `call!`, and the call must succeed.
#[macro_export]
macro_rules! ok {
    ($cuda:expr, $name:literal $(, $arg:expr)*) => {
        assert_eq!($crate::call!($cuda, $name $(, $arg)*), 0, $name)
    };
}

/// A test that runs its body in a child process with these settings.
#[macro_export]
macro_rules! in_a_process {
    ($( $name:ident ( $($setting:literal = $value:literal),* ) $body:block )*) => {$(
        #[test]
        fn $name() {
            if $crate::support::is_role(stringify!($name)) { $body } else { $crate::support::run(stringify!($name), &[$(($setting, $value)),*]); }
        }
    )*};
}

pub struct Cuda(Library);

impl Cuda {
    /// Only opened.
    pub fn open() -> Self {
        // SAFETY: the simulated driver has no initialisers that matter.
        Self(unsafe { Library::new(built()) }.expect("open libfakecuda.so"))
    }

    /// With a current primary context on device 0.
    pub fn begin() -> Self {
        let cuda = Self::open();
        let mut context = 0_u64;
        ok!(cuda, "cuInit", 0);
        ok!(cuda, "cuDevicePrimaryCtxRetain", &mut context as *mut u64, 0);
        ok!(cuda, "cuCtxSetCurrent", context);
        cuda
    }

    pub fn address(&self, name: &str) -> *mut c_void {
        // SAFETY: only the address is taken.
        let symbol = unsafe { self.0.get::<*mut c_void>(name.as_bytes()) };
        symbol.unwrap_or_else(|_| panic!("{name} is not exported")).into_raw()
    }

    pub fn function(&self, name: &str) -> u64 {
        let text = CString::new(include_str!("../../kernels.ptx")).unwrap();
        let name = CString::new(name).unwrap();
        let (mut module, mut function) = (0_u64, 0_u64);
        ok!(self, "cuModuleLoadData", &mut module as *mut u64, text.as_ptr());
        ok!(self, "cuModuleGetFunction", &mut function as *mut u64, module, name.as_ptr());
        function
    }

    /// Launches; every parameter in 8 bytes.
    pub fn launch(&self, function: u64, stream: u64, args: &[u64]) -> u32 {
        let mut args = args.to_vec();
        let mut pointers: Vec<*mut u64> = args.iter_mut().map(|a| a as *mut u64).collect();
        let params = pointers.as_mut_ptr();
        call!(self, "cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, stream, params, 0)
    }

    pub fn managed(&self, bytes: u64) -> u64 {
        let mut at = 0_u64;
        ok!(self, "cuMemAllocManaged", &mut at as *mut u64, bytes, 1);
        at
    }

    pub fn plain(&self, bytes: u64) -> Result<u64, u32> {
        let mut at = 0_u64;
        match call!(self, "cuMemAlloc_v2", &mut at as *mut u64, bytes) {
            0 => Ok(at),
            code => Err(code),
        }
    }

    pub fn prefetch(&self, at: u64, bytes: u64, device: c_int, stream: u64) {
        ok!(self, "cuMemPrefetchAsync", at, bytes, device as u32, stream);
    }

    pub fn free_bytes(&self) -> u64 {
        let (mut free, mut total) = (0_u64, 0_u64);
        ok!(self, "cuMemGetInfo_v2", &mut free as *mut u64, &mut total as *mut u64);
        free
    }

    pub fn synchronize(&self) {
        ok!(self, "cuCtxSynchronize");
    }

    pub fn stream(&self) -> u64 {
        let mut stream = 0_u64;
        ok!(self, "cuStreamCreate", &mut stream as *mut u64, 1);
        stream
    }

    /// An event, recorded.
    pub fn mark(&self, stream: u64) -> u64 {
        let mut event = 0_u64;
        ok!(self, "cuEventCreate", &mut event as *mut u64, 0);
        ok!(self, "cuEventRecord", event, stream);
        event
    }

    /// Simulated seconds between two events.
    pub fn seconds(&self, start: u64, end: u64) -> f64 {
        let mut millis = 0_f32;
        ok!(self, "cuEventElapsedTime", &mut millis as *mut f32, start, end);
        f64::from(millis) / 1e3
    }

    /// Simulated seconds that what `work` submits to the stream takes. A kernel that spins goes first, so that
    /// all of it is queued before any of it runs, and the host's own time does not count.
    pub fn time(&self, stream: u64, work: impl FnOnce()) -> f64 {
        let spin = self.function("spin");
        assert_eq!(self.launch(spin, stream, &[30_000_000_000]), 0);
        let start = self.mark(stream);
        work();
        let end = self.mark(stream);
        self.synchronize();
        self.seconds(start, end)
    }
}

/// One operation from the device's log.
#[derive(Debug, Clone)]
pub struct Logged {
    pub start: f64,
    pub pid: u32,
    pub operation: String,
    pub bytes: u64,
    pub seconds: f64,
}

pub fn log(path: &Path) -> Vec<Logged> {
    let text = std::fs::read_to_string(path).expect("read the device's log");
    text.lines()
        .map(|line| {
            let part: Vec<_> = line.split('\t').collect();
            Logged {
                start: part[0].parse().unwrap(),
                pid: part[1].parse().unwrap(),
                operation: part[2].to_owned(),
                bytes: part[3].parse().unwrap(),
                seconds: part[4].parse().unwrap(),
            }
        })
        .collect()
}

/// Starts one of this test program's tests in a process of its own, with these settings and `ROLE` set.
pub fn child(test: &str, settings: &[(&str, &str)]) -> Child {
    let exe = std::env::current_exe().expect("the test's own path");
    let mut command = Command::new(exe);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("ROLE", test).envs(settings.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("start the child")
}

/// Runs such a test to its end; it must pass.
pub fn run(test: &str, settings: &[(&str, &str)]) {
    let out = child(test, settings).wait_with_output().expect("wait for the child");
    assert!(out.status.success(), "{test}: {}", String::from_utf8_lossy(&out.stdout));
}

/// Whether this process is the child that plays this part; else the test has nothing to do.
pub fn is_role(test: &str) -> bool {
    std::env::var("ROLE").is_ok_and(|role| role == test)
}

/// Waits for a line on a child's stdout that holds the word.
pub fn await_word(child: &mut Child, word: &str) {
    use std::io::BufRead;
    let out = child.stdout.as_mut().expect("piped");
    let mut lines = std::io::BufReader::with_capacity(1, out).lines();
    assert!(lines.any(|line| line.expect("read").contains(word)), "the child ended without saying {word}");
}
