//! Programs of sanitizers under the library. They look up all that they stand in for, by way of our `dlsym`, before they
//! are ready to be called.
use anyhow::{Result, ensure};
use nvshare_tests::world::{World, built};
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *in_a_thread(void *init) {
    int (*function)(unsigned) = init;
    return function(0) ? init : NULL;
}
int main(int argc, char **argv) {
    (void)argv;
    pthread_t thread;
    void *failed = NULL, *cuda = dlopen("libcuda.so.1", RTLD_NOW), *init = cuda ? dlsym(cuda, "cuInit") : NULL;
    Dl_info info;
    char *memory = malloc(10);
    if (!init || !dladdr(init, &info)) return 2;
    pthread_create(&thread, NULL, in_a_thread, init);
    pthread_join(thread, &failed);
    puts(info.dli_fname);
    free(memory);
    if (argc > 1) *(volatile char *)memory = 1;
    return failed ? 3 : 0;
}
"#;

/// A program of the sanitizer, in a world with a driver of a few functions in C.
fn compile(world: &World, flags: &[&str]) -> Result<std::path::PathBuf> {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("aarch64/driver.c");
    let cc = |command: &mut Command| -> Result<()> {
        let done = command.output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    };
    let library = world.dir().join("lib/libcuda.so.1");
    std::fs::remove_file(&library)?;
    cc(Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
        .arg(library)
        .arg(driver))?;
    let (source, program) = (world.dir().join("program.c"), world.dir().join("program"));
    std::fs::write(&source, PROGRAM)?;
    cc(Command::new("cc")
        .args(["-g", "-o"])
        .arg(&program)
        .arg(&source)
        .args(flags)
        .args(["-pthread", "-ldl"]))?;
    Ok(program)
}

/// Runs it under the library, with `before` preloaded before that.
fn run(world: &World, program: &Path, before: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = world.command(program)?;
    let library = built()?.join("libnvshare.so");
    let preload = if before.is_empty() { library } else { format!("{before}:{}", library.display()).into() };
    Ok(command.args(arguments).env("LD_PRELOAD", preload).env("ASAN_OPTIONS", "detect_leaks=0").output()?)
}

fn is_managed(flags: &[&str], before: &str) -> Result<()> {
    let world = World::new(&[])?;
    let program = compile(&world, flags)?;
    let output = run(&world, &program, before, &[])?;
    let said = String::from_utf8_lossy(&output.stdout);
    let log = world.tenants_log();
    ensure!(output.status.success() && said.trim().ends_with("/libnvshare.so"), "{output:?}\n{log}");
    ensure!(!log.contains("not managed"), "{log}");
    Ok(())
}

#[test]
fn programs_of_the_thread_sanitizer_run() -> Result<()> {
    is_managed(&["-fsanitize=thread"], "")
}

#[test]
fn programs_of_the_leak_sanitizer_run() -> Result<()> {
    is_managed(&["-fsanitize=leak"], "")
}

#[test]
fn programs_that_contain_the_address_sanitizer_run_and_find_their_faults() -> Result<()> {
    let flags = ["-fsanitize=address", "-static-libasan"];
    is_managed(&flags, "")?;
    let world = World::new(&[])?;
    let output = run(&world, &compile(&world, &flags)?, "", &["and a fault"])?;
    let log = format!("{}{}", world.tenants_log(), String::from_utf8_lossy(&output.stderr));
    ensure!(!output.status.success() && log.contains("heap-use-after-free"), "{output:?}\n{log}");
    Ok(())
}

#[test]
fn programs_of_the_address_sanitizer_run_where_it_is_preloaded_first() -> Result<()> {
    let found = Command::new("cc").arg("-print-file-name=libasan.so").output()?.stdout;
    let runtime = std::fs::canonicalize(String::from_utf8(found)?.trim())?;
    is_managed(&["-fsanitize=address"], &runtime.display().to_string())
}
