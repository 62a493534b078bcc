//! What the library says on stderr, in programs whose descriptor 2 is something else, or that nobody reads.
use anyhow::{Context as _, Result, ensure};
use nvshare_tests::world::{Tenant, World};
use std::process::Stdio;
use std::time::{Duration, Instant};

const CARD: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "25")];

/// Without a scheduler the library warns when CUDA is initialised.
const PROGRAM: &str = r#"
import ctypes, json, os, signal, socket, sys

signal.signal(signal.SIGPIPE, signal.SIG_DFL)

def say(**line): os.write(out, json.dumps(line).encode() + b'\n')

def call(name, *arguments):
    code = getattr(ctypes.CDLL('libcuda.so.1'), name)(*arguments)
    assert code == 0, (name, code)

def start(**more):
    context, address, size = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_size_t(4 << 20)
    call('cuInit', 0)
    call('cuDevicePrimaryCtxRetain', ctypes.byref(context), 0)
    call('cuCtxSetCurrent', context)
    call('cuMemAlloc_v2', ctypes.byref(address), size)
    call('cuMemsetD8_v2', address, ctypes.c_ubyte(7), size)
    call('cuCtxSynchronize')

def appended(path): return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

out = os.dup(1)
"#;

/// What the last line of such a program says.
fn ends_with(
    world: &World,
    text: &str,
    redirect: impl FnOnce(&mut std::process::Command),
) -> Result<serde_json::Value> {
    let mut command = world.command("python3")?;
    command.args(["-u", "-c", &format!("{PROGRAM}\n{text}")]).arg(world.dir());
    redirect(&mut command);
    Tenant::spawn(command)?.finish()
}

#[test]
fn a_data_file_that_has_the_number_2_holds_data_alone() -> Result<()> {
    let world = World::new(CARD)?;
    for open in ["os.open(path, os.O_RDWR | os.O_CREAT)", "appended(path)"] {
        let text = format!(
            "path = sys.argv[1] + '/data'\n\
             for n in range(3): os.close(n)\n\
             for path in '/dev/null', sys.argv[1] + '/log', path: data = {open}\n\
             assert data == 2\nos.write(data, b'HEADER')\nstart()\nos.write(data, b'TRAILER')\n\
             say(data=open(path).read())\nos.unlink(path)"
        );
        let said = ends_with(&world, &text, |_| ())?;
        assert_eq!(said["data"], "HEADERTRAILER", "{open}");
    }
    assert_eq!(std::fs::read_to_string(world.dir().join("log"))?, "", "it is stdout");
    Ok(())
}

#[test]
fn a_clients_connection_that_has_the_number_2_is_sent_nothing() -> Result<()> {
    let world = World::new(CARD)?;
    let text = "os.close(2)\nhere, client = socket.socketpair()\nassert here.fileno() == 2\nstart()\n\
                try: say(got=client.recv(512, socket.MSG_DONTWAIT).decode())\n\
                except BlockingIOError: say(got='')";
    assert_eq!(ends_with(&world, text, |_| ())?["got"], "");
    Ok(())
}

/// As a super-server gives it: the same socket is stdin, stdout and stderr.
#[test]
fn a_connection_that_the_program_begins_with_is_sent_nothing() -> Result<()> {
    let world = World::new(CARD)?;
    let (here, client) = std::os::unix::net::UnixStream::pair()?;
    let mut command = world.command("python3")?;
    let text = format!("{PROGRAM}\nstart()\nsay(end=True)");
    let socket = || -> Result<Stdio> { Ok(Stdio::from(std::os::fd::OwnedFd::from(here.try_clone()?))) };
    command.args(["-u", "-c", &text]).stdin(socket()?).stdout(socket()?).stderr(socket()?);
    ensure!(command.status()?.success());
    drop((command, here));
    let said = std::io::read_to_string(client)?;
    assert_eq!(said, "{\"end\": true}\n");
    Ok(())
}

#[test]
fn a_program_that_begins_without_stderr_is_told_nothing() -> Result<()> {
    let world = World::new(CARD)?;
    let text = "path = sys.argv[1] + '/data'\nos.close(2)\n\
                os.execv(sys.executable, [sys.executable, '-u', '-c', sys.argv[2], path, str(out)])";
    let then = format!(
        "{}\ntry: os.fstat(2)\nexcept OSError: pass\ndata = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\nos.dup2(data, 2)\n\
         start()\nsay(data=open(sys.argv[1]).read())",
        PROGRAM.replace("os.dup(1)", "1")
    );
    let said = ends_with(&world, text, |command| {
        command.arg(then);
    })?;
    assert_eq!(said["data"], "");
    Ok(())
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up() -> Result<()> {
    let world = World::new(CARD)?;
    let text = "r, w = os.pipe()\nos.set_blocking(w, False)\n\
                try:\n  while True: os.write(w, b'x' * 4096)\nexcept BlockingIOError: pass\n\
                os.set_blocking(w, True)\nos.dup2(w, 1)\nos.dup2(w, 2)\nstart()\nsay(end=True)\nos._exit(0)";
    let began = Instant::now();
    assert_eq!(ends_with(&world, text, |_| ())?["end"], true);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn a_reader_that_has_gone_kills_nobody() -> Result<()> {
    let world = World::new(CARD)?;
    // What is wrong with a setting is said by the program's own thread.
    fn wrong(command: &mut std::process::Command) {
        command.env("NVSHARE_PREFETCH", "wrong");
    }
    let text = "r, w = os.pipe()\nos.dup2(w, 1)\nos.dup2(w, 2)\nos.close(r)\nos.close(w)\nstart()\nsay(end=True)\nos._exit(0)";
    assert_eq!(ends_with(&world, text, wrong)?["end"], true);
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let said = ends_with(&world, "start()\nsay(end=True)\nos._exit(0)", |command| {
        wrong(command);
        command.stderr(writer);
    })?;
    assert_eq!(said["end"], true);
    Ok(())
}

/// It is what 2 was when the program began, or the program's stdout too: one log for both.
#[test]
fn stderr_and_a_log_that_takes_its_place_are_told() -> Result<()> {
    let world = World::new(CARD)?;
    let words = "warn: ";
    ends_with(&world, "start()\nsay(end=True)", |_| ())?;
    ensure!(world.tenants_log().contains(words), "stderr: {:?}", world.tenants_log());
    let text = "log = appended(sys.argv[1] + '/own')\nos.dup2(log, 1)\nos.dup2(log, 2)\n\
                if os.fork() == 0: start(); say(end=True)\nelse: os.wait()";
    ends_with(&world, text, |_| ())?;
    let own = std::fs::read_to_string(world.dir().join("own")).context("the log of its own")?;
    ensure!(own.contains(words), "a log of its own: {own:?}");
    Ok(())
}
