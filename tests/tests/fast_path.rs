//! The gate's fast path takes no lock that another launch could hold, makes no system call and allocates nothing: shown by
//! the built library, before a driver that does nothing. A thread that waits for a lock would make a system call.
use anyhow::{Result, ensure};
use nvshare_tests::world::built;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Three launches each, so that there are a million and more.
const THREADS: &str = "4";
const COUNT: &str = "100000";

struct Launches {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Launches {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("counted_launches");
        let driver = dir.path().join("libcuda.so.1");
        compile("null_driver.c", &["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"], &driver)?;
        // Its own malloc stands before the C library's for everybody.
        compile("counted_launches.c", &["-rdynamic", "-pthread", "-ldl"], &program)?;
        Ok(Self { dir, program })
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("LD_LIBRARY_PATH", self.dir.path()).env("NVSHARE_LOG", "off");
        command.env("LD_PRELOAD", built()?.join("libnvshare.so"));
        command.env("NVSHARE_SOCKET", "/nonexistent/scheduler.sock");
        Ok(command.output()?)
    }
}

fn compile(source: &str, how: &[&str], to: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(source);
    let cc =
        Command::new("cc").args(["-O1", "-Wall", "-Werror", "-o"]).arg(to).arg(source).args(how).output()?;
    ensure!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
    Ok(())
}

fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stdout).trim())
}

#[test]
fn a_million_launches_allocate_nothing_and_make_no_system_call() -> Result<()> {
    let output = Launches::new()?.run(&[THREADS, COUNT])?;
    assert_eq!(said(&output), "exit status: 0: 0 allocations");
    Ok(())
}

/// Else the test above could not fail.
#[test]
fn an_allocation_is_counted_and_a_system_call_is_the_end() -> Result<()> {
    let launches = Launches::new()?;
    let allocates = launches.run(&["allocate"])?;
    assert!(
        allocates.status.success() && said(&allocates) != "exit status: 0: 0 allocations",
        "{}",
        said(&allocates)
    );
    assert_eq!(launches.run(&["system-call"])?.status.signal(), Some(libc::SIGSYS));
    Ok(())
}
