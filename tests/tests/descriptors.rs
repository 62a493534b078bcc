//! What a program does with its descriptors, and what of ours it finds there.
use anyhow::{Context as _, Result};
use nvshare_tests::world::{Scheduler, Tenant, World, until};

const CARD: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_BYTE_SCALE", "512"), ("FAKECUDA_TIME_SCALE", "25")];

/// Works with a GPU's memory, and says what it is asked for on stdin.
const PROGRAM: &str = r#"
import ctypes, json, os, socket, sys

def say(**line): print(json.dumps(line), flush=True)

def sandbox():
    """The kernel refuses a table of one's own: unshare(2) and close_range(2) give EPERM."""
    class Rule(ctypes.Structure): _fields_ = [('code', ctypes.c_ushort), ('jt', ctypes.c_ubyte), ('jf', ctypes.c_ubyte), ('k', ctypes.c_uint)]
    class Filter(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('rules', ctypes.POINTER(Rule))]
    rules = (Rule * 5)(Rule(0x20, 0, 0, 0), Rule(0x15, 2, 0, 272), Rule(0x15, 1, 0, 436),
                       Rule(0x06, 0, 0, 0x7fff0000), Rule(0x06, 0, 0, 0x00050001))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Filter(5, rules)), 0, 0) == 0, ctypes.get_errno()

if 'sandbox' in sys.argv: sandbox()
if 'few' in sys.argv:
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))
cuda = ctypes.CDLL('libcuda.so.1')
SIZE = 4 << 20
address = ctypes.c_uint64()

def call(name, *arguments):
    code = getattr(cuda, name)(*arguments)
    assert code == 0, (name, code)

def work():
    call('cuMemsetD8_v2', address, ctypes.c_ubyte(7), ctypes.c_size_t(SIZE))
    call('cuCtxSynchronize')

def start():
    context = ctypes.c_void_p()
    call('cuInit', 0)
    call('cuDevicePrimaryCtxRetain', ctypes.byref(context), 0)
    call('cuCtxSetCurrent', context)
    call('cuMemAlloc_v2', ctypes.byref(address), ctypes.c_size_t(SIZE))
    work()

def table():
    """Without the simulated driver's own memory."""
    names = (os.readlink(f'/proc/self/fd/{n}').split('[')[0] for n in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}'))
    return sorted(name for name in names if 'fakecuda' not in name)

class Occupied:
    """One end of a socket has every number from 3 on, with bytes in it; the other end is out of the way."""
    def __init__(self):
        os.closerange(3, 2048)
        here, there = socket.socketpair()
        os.dup2(there.fileno(), 1023)
        self.other = socket.socket(fileno=1023)
        there.detach()
        self.other.sendall(b'x' * 4096)
        self.here = here.detach()
        for n in range(3, 1023):
            if n != self.here: os.dup2(self.here, n)

    def check(self):
        for n in range(3, 1023): os.fstat(n)
        self.other.setblocking(False)
        try:
            got = self.other.recv(4096)
            raise AssertionError(f'bytes, or an end, that are not its own: {got}')
        except BlockingIOError: pass
        unread = ctypes.c_int()
        assert ctypes.CDLL(None).ioctl(self.here, 0x541b, ctypes.byref(unread)) == 0
        assert unread.value == 4096, f'{unread.value} of 4096 bytes are left'
"#;

fn python(world: &World, text: &str, arguments: &[&str]) -> Result<Tenant> {
    let mut command = world.command("python3")?;
    command.args(["-u", "-c", &format!("{PROGRAM}\n{text}")]).args(arguments);
    Tenant::spawn(command)
}

#[test]
fn the_programs_table_has_nothing_of_ours() -> Result<()> {
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler(&[])?;
    let text = "start(); say(table=table())\nif os.fork() == 0: say(child=table()); os._exit(0)\nos.wait()";
    let mut command = world.native("python3")?;
    command.args(["-u", "-c", &format!("{PROGRAM}\n{text}")]);
    let (native, under) = (Tenant::spawn(command)?, python(&world, text, &[])?);
    for key in ["table", "child"] {
        assert_eq!(under.next(key)?, native.next(key)?, "{key}");
    }
    Ok(())
}

/// Two of them take turns, each with everything closed and all numbers in use.
fn occupied(arguments: &[&str]) -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler(&["--quantum", "0.1", "--evict", "always"])?;
    let text = "start(); say(started=True); sys.stdin.readline(); mine = Occupied(); say(occupied=True)\n\
                import select\n\
                while not select.select([0], [], [], 0)[0]: work(); mine.check()\n\
                say(held=True)";
    // With `swap` the simulated driver has descriptors of its own in the program's table, which closes them.
    let managed = || {
        let mut command = world.command("python3")?;
        command.args(["-u", "-c", &format!("{PROGRAM}\n{text}")]).args(arguments);
        command.env("NVSHARE_ENGINE", "managed");
        Tenant::spawn(command)
    };
    let tenants = [managed()?, managed()?];
    for tenant in &tenants {
        tenant.next("started")?;
    }
    until("both are tenants", || Ok(scheduler.status()?.tenants.len() == 2))?;
    for tenant in &tenants {
        tenant.write("\n")?;
        tenant.next("occupied").with_context(|| world.tenants_log())?;
    }
    takes_turns(&scheduler, 6).with_context(|| format!("{}\n{}", scheduler.log(), world.tenants_log()))?;
    for tenant in tenants {
        assert_eq!(tenant.finish()?["held"], true);
    }
    Ok(())
}

fn takes_turns(scheduler: &Scheduler, times: u64) -> Result<()> {
    let before = scheduler.handovers()?;
    until("they take turns", || Ok(scheduler.handovers()? >= before + times))
}

#[test]
fn a_program_that_closes_and_uses_all_numbers_loses_and_gains_nothing() -> Result<()> {
    occupied(&[])
}

#[test]
fn in_a_sandbox_that_refuses_a_table_of_ones_own_it_loses_and_gains_nothing_either() -> Result<()> {
    occupied(&["sandbox"])
}

#[test]
fn seven_descriptors_are_enough() -> Result<()> {
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler(&[])?;
    let tenant = python(&world, "start(); work(); say(worked=True)", &["few"])?;
    assert_eq!(tenant.finish()?["worked"], true);
    assert_eq!(world.tenants_log(), "", "and nobody complains");
    Ok(())
}

/// What it opens afterwards has the number that it would have without us. (The simulated driver has descriptors of its own
/// for what `swap` allocates.)
#[test]
fn a_program_without_stdin_stdout_and_stderr_finds_them_free() -> Result<()> {
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler(&[])?;
    let text = "for n in range(3): os.close(n)\n\
                start(); work()\n\
                fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)\n\
                os.write(fd, b'%d' % fd)";
    let file = |name: &str| world.dir().join(name);
    let mut command = world.native("python3")?;
    command.args(["-u", "-c", &format!("{PROGRAM}\n{text}")]).arg(file("native"));
    let mut under = world.command("python3")?;
    under
        .args(["-u", "-c", &format!("{PROGRAM}\n{text}")])
        .arg(file("under"))
        .env("NVSHARE_ENGINE", "managed");
    for tenant in [Tenant::spawn(command)?, Tenant::spawn(under)?] {
        tenant.finish_with_lines()?;
    }
    let said = |name| std::fs::read_to_string(file(name));
    assert_eq!(said("under")?, said("native")?);
    Ok(())
}

#[test]
fn a_program_that_ends_is_gone_at_once_though_its_child_lives() -> Result<()> {
    let world = World::new(CARD)?;
    let scheduler = world.scheduler(&[])?;
    for arguments in [&[][..], &["sandbox"]] {
        let text = "start()\nif os.fork() == 0: say(child=True); sys.stdin.read(); os._exit(0)\nos._exit(0)";
        let tenant = python(&world, text, arguments)?;
        tenant.next("child")?;
        until("the parent's end is noticed", || Ok(scheduler.status()?.tenants.is_empty()))?;
    }
    Ok(())
}

/// Nothing of ours is there for a moment either, while drivers in other namespaces are looked for.
#[test]
fn a_program_that_opens_a_namespace_has_its_numbers_for_itself() -> Result<()> {
    let world = World::new(CARD)?;
    let text = "import time\n\
                find = ctypes.CDLL(None).dlmopen if hasattr(ctypes.CDLL(None), 'dlmopen') else ctypes.CDLL('libdl.so.2').dlmopen\n\
                find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_long, ctypes.c_char_p, ctypes.c_int]\n\
                assert find(-1, b'libm.so.6', os.RTLD_NOW)\n\
                free, foreign, end = os.dup(0), 0, time.monotonic() + 2\nos.close(free)\n\
                while time.monotonic() < end:\n  try: os.fstat(free); foreign += 1\n  except OSError: pass\n\
                say(foreign=foreign)";
    assert_eq!(python(&world, text, &[])?.finish()?["foreign"], 0);
    Ok(())
}
