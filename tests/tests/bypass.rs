//! Programs whose CUDA calls do not all reach us: each is told of, by name, to its user and to the operator.
use anyhow::{Context as _, Result, ensure};
use nvshare_tests::world::{Scheduler, Tenant, World, built, until};
use std::path::{Path, PathBuf};
use std::process::Command;

const REPORT: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "25")];
const BYTES: &str = "25165824";

fn compile(world: &World, name: &str, source: &str, flags: &[&str]) -> Result<PathBuf> {
    let (file, out) = (world.dir().join(name).with_extension("c"), world.dir().join(name));
    std::fs::write(&file, source)?;
    let done = Command::new("cc").args(flags).arg("-o").arg(&out).arg(&file).arg("-ldl").output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(out)
}

fn is_reported(scheduler: &Scheduler, words: &str) -> Result<()> {
    until("the operator is told", || {
        let told = |reports: &[String]| reports.iter().any(|text| text.contains(words));
        Ok(scheduler.status()?.tenants.iter().any(|tenant| told(&tenant.reports)))
    })
}

#[test]
fn a_library_that_stands_before_ours_is_named() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&[])?;
    // It does not come back, so that the program stays.
    let source = "#include <unistd.h>\nint cuLaunchKernel(void) { for (;;) pause(); }";
    let other = compile(&world, "other.so", source, &["-shared", "-fPIC"])?;
    let mut command = world.command(built()?.join("load"))?;
    let preload = format!("{}:{}", other.display(), built()?.join("libnvshare.so").display());
    command.args(["--bytes", BYTES, "--seconds", "1000", "--rest-ms", "5"]).env("LD_PRELOAD", preload);
    let tenant = Tenant::spawn(command)?;
    let words =
        format!("cuLaunchKernel is answered by {}, which stands before libnvshare.so", other.display());
    is_reported(&scheduler, &words)?;
    assert!(world.tenants_log().contains(&words), "{}", world.tenants_log());
    drop(tenant);
    Ok(())
}

/// Submits work by the driver's own address of `cuMemsetD8Async`, which it did not look up.
const AROUND: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <stdio.h>
typedef int (*call)();
int main(int argc, char **argv) {
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW), *context;
    unsigned long long at;
    struct link_map *map;
    if (!cuda || argc != 2 || dlinfo(cuda, RTLD_DI_LINKMAP, &map)) return 1;
    int (*set)(unsigned long long, unsigned char, size_t, void *) = (void *)(map->l_addr + strtoul(argv[1], 0, 16));
    if (((call)dlsym(cuda, "cuInit"))(0)) return 2;
    if (((call)dlsym(cuda, "cuDevicePrimaryCtxRetain"))(&context, 0)) return 3;
    if (((call)dlsym(cuda, "cuCtxSetCurrent"))(context)) return 4;
    int (*allocate)(unsigned long long *, size_t) = dlsym(cuda, "cuMemAlloc_v2");
    if (allocate(&at, 8 << 20)) return 5;
    call wait = (call)dlsym(cuda, "cuCtxSynchronize");
    int (*asked)(unsigned long long, unsigned char, size_t) = dlsym(cuda, "cuMemsetD8_v2");
    printf("{\"step\":0}\n");
    fflush(stdout);
    for (;;) {
        /* One call that asks for a turn, then work for half a second that does not. */
        if (asked(at, 1, 4096)) return 6;
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 200; k++) if (set(at, 0, 8 << 20, 0)) return 7;
            if (wait()) return 8;
        }
    }
}
"#;

/// Where the file has the symbol, as `nm` prints it.
fn offset(file: &Path, symbol: &str) -> Result<String> {
    let listed =
        String::from_utf8(Command::new("nm").args(["-D", "--defined-only"]).arg(file).output()?.stdout)?;
    let line = listed.lines().find(|line| line.ends_with(&format!(" {symbol}"))).context("no such symbol")?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

#[test]
fn work_that_goes_around_us_is_told_of_when_its_turn_is_over() -> Result<()> {
    let world = World::new(REPORT)?;
    let scheduler = world.scheduler(&["--quantum", "0.05", "--evict", "always"])?;
    let program = compile(&world, "around", AROUND, &[])?;
    // Managed memory: what is submitted while it is away still works, only slowly.
    let mut command = world.command(program)?;
    command
        .arg(offset(&built()?.join("libfakecuda.so"), "cuMemsetD8Async")?)
        .env("NVSHARE_ENGINE", "managed");
    let around = Tenant::spawn(command)?;
    around.next("step")?;
    let _other =
        world.load(&["--bytes", "8388608", "--seconds", "1000"], &[("NVSHARE_ENGINE", "managed")])?;
    is_reported(&scheduler, "uses CUDA around libnvshare.so")?;
    assert!(world.tenants_log().contains("its work ran outside of its turn"), "{}", world.tenants_log());
    drop(around);
    Ok(())
}

/// A plugin that looks the driver up itself, and uses it until it is killed. Its first word is who answers.
const PLUGIN: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
typedef int (*call)();
void use(void) {
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW), *context;
    call init = cuda ? (call)dlsym(cuda, "cuInit") : 0;
    Dl_info info;
    if (!init || init(0) || !dladdr((void *)init, &info)) return;
    if (((call)dlsym(cuda, "cuDevicePrimaryCtxRetain"))(&context, 0)) return;
    printf("{\"by\":\"%s\"}\n", info.dli_fname);
    fflush(stdout);
    for (;;) pause();
}
"#;
/// Loads the plugin as it is told.
const HOST: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
int main(int argc, char **argv) {
    int deep = RTLD_NOW | RTLD_DEEPBIND;
    void *plugin = strcmp(argv[1], "dlmopen") ? dlopen(argv[2], deep) : dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW);
    void (*use)(void) = plugin ? (void (*)(void))dlsym(plugin, "use") : 0;
    if (use) use();
    return 1;
}
"#;
const DEEP_PYTHON: &str =
    "import ctypes, os, sys; ctypes.CDLL(sys.argv[2], os.RTLD_NOW | os.RTLD_DEEPBIND).use()";
const DLMOPEN_PYTHON: &str = "
import ctypes, os, sys
find = ctypes.CDLL('libdl.so.2').dlmopen
find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_long, ctypes.c_char_p, ctypes.c_int]
ctypes.CDLL('plugin', handle=find(-1, sys.argv[2].encode(), os.RTLD_NOW)).use()
";

/// A world whose driver is a file of the driver's name, as a real one is.
fn world_with_a_driver() -> Result<World> {
    let world = World::new(REPORT)?;
    let driver = world.dir().join("lib/libcuda.so.1");
    std::fs::remove_file(&driver)?;
    std::fs::copy(built()?.join("libfakecuda.so"), driver)?;
    Ok(world)
}

/// The plugin, loaded by `how` in C or in Python, at work; and who answered it.
fn plugged(world: &World, how: &str, python: Option<&str>, keeps: &str) -> Result<(Tenant, String)> {
    let plugin = compile(world, "plugin.so", PLUGIN, &["-shared", "-fPIC"])?;
    let mut command = match python {
        Some(script) => {
            let mut command = world.command("python3")?;
            command.args(["-c", script]);
            command
        }
        None => world.command(compile(world, "host", HOST, &[])?)?,
    };
    command.arg(how).arg(plugin).env("NVSHARE_DEEPBIND", keeps);
    let tenant = Tenant::spawn(command)?;
    let by =
        tenant.next("by")?.as_str().context("who answers")?.rsplit('/').next().unwrap_or_default().to_owned();
    Ok((tenant, by))
}

#[test]
fn what_is_loaded_with_its_own_names_first_is_managed() -> Result<()> {
    for python in [None, Some(DEEP_PYTHON)] {
        let world = world_with_a_driver()?;
        let scheduler = world.scheduler(&[])?;
        let (tenant, by) = plugged(&world, "deep", python, "")?;
        assert_eq!(by, "libnvshare.so");
        until("it is a tenant", || Ok(scheduler.status()?.tenants.len() == 1))?;
        assert!(!world.tenants_log().contains("not managed"), "{}", world.tenants_log());
        drop(tenant);
    }
    Ok(())
}

/// The flag stays where the user needs it; who initialises CUDA with us is told of.
#[test]
fn what_is_to_keep_its_own_names_first_keeps_them_and_is_told_of() -> Result<()> {
    let world = world_with_a_driver()?;
    let scheduler = world.scheduler(&[])?;
    let (tenant, by) = plugged(&world, "deep", None, "1")?;
    assert_eq!(by, "libcuda.so.1");
    drop(tenant);
    let script = "import ctypes, sys, os; ctypes.CDLL(sys.argv[2], os.RTLD_NOW | os.RTLD_DEEPBIND); \
                  ctypes.CDLL('libcuda.so.1').cuInit(0); print('{\"by\":\"\"}', flush=True); sys.stdin.read()";
    let (tenant, _) = plugged(&world, "deep", Some(script), "1")?;
    is_reported(&scheduler, "NVSHARE_DEEPBIND=1 leaves to it")?;
    drop(tenant);
    Ok(())
}

#[test]
fn a_driver_in_a_namespace_of_its_own_is_told_of() -> Result<()> {
    for python in [None, Some(DLMOPEN_PYTHON)] {
        let world = world_with_a_driver()?;
        let scheduler = world.scheduler(&[])?;
        let (tenant, by) = plugged(&world, "dlmopen", python, "")?;
        assert_eq!(by, "libcuda.so.1");
        let words = "loaded a driver into a namespace of its own (dlmopen)";
        is_reported(&scheduler, words)?;
        assert!(world.tenants_log().contains(words), "{}", world.tenants_log());
        drop(tenant);
    }
    Ok(())
}

/// A library of the program's own has functions of the driver's names, as those that tests and frameworks use.
const MOCK: &str = "int cuInit(unsigned flags) { return flags ? 7 : 0; } int cuDeviceGetCount(int *n) { *n = 42; return 0; }";
const USES_MOCK: &str = r#"
import ctypes, sys
mock, count = ctypes.CDLL(sys.argv[1]), ctypes.c_int()
print('{"codes":[%d,%d],"count":%d}' % (mock.cuInit(1), mock.cuDeviceGetCount(ctypes.byref(count)), count.value))
"#;

#[test]
fn a_library_with_the_drivers_names_answers_for_itself() -> Result<()> {
    let world = World::new(REPORT)?;
    let mock = compile(&world, "libmock.so", MOCK, &["-shared", "-fPIC"])?;
    let mut command = world.command("python3")?;
    command.args(["-c", USES_MOCK]).arg(mock);
    let said = Tenant::spawn(command)?.finish()?;
    assert_eq!(said.to_string(), r#"{"codes":[7,0],"count":42}"#);
    assert_eq!(world.tenants_log(), "", "CUDA is not initialised");
    Ok(())
}
