//! The programs of `tests/programs`, in a folder for each chapter of the driver's API: each runs natively on the simulated driver, then under nvshare alone, then
//! under nvshare beside a tenant that always wants the card, with each engine. Output and exit code must be the
//! same.
use anyhow::{Context as _, Result, bail, ensure};
use nvshare_tests::world::{World, built};
use std::fmt::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// One byte is one byte, and time is fast.
const CARD: &[(&str, &str)] =
    &[("FAKECUDA_CARD", "report"), ("FAKECUDA_MEMORY", "2GiB"), ("FAKECUDA_TIME_SCALE", "4")];
/// What the programs said on a real driver.
const RECORDED: &str = include_str!("../programs/recorded-580.159.04.txt");
/// The exit code of a program that says that the driver cannot do what it is about.
const UNSUPPORTED: i32 = 77;
/// In place of a line where there is none.
const NOTHING: &str = "(nothing)";
/// A program that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test for each program, and the folder that it lies in.
macro_rules! programs {
    ($($chapter:ident: $($name:ident)*;)*) => {
        const PROGRAMS: &[(&str, &str)] = &[$($((stringify!($chapter), stringify!($name))),*),*];
        $($(#[test] fn $name() -> Result<()> { compare(stringify!($name)) })*)*
    };
}
programs! {
    alloc:
        alloc_beyond alloc_double_free alloc_managed alloc_managed_host alloc_pitch alloc_plain
        alloc_refused alloc_without_context host_alloc host_free host_register managed_plain memory_info
        memory_info_kinds memory_info_out_of_memory memory_info_threads;
    array:
        alloc_array alloc_array_3d alloc_array_reset alloc_mipmap alloc_mipmap_reset;
    context:
        context_busy context_created context_destroyed context_devices context_ended context_green
        context_pool context_primary context_reset context_reset_refused;
    copy:
        copy_3d copy_across copy_async copy_batch copy_peer memset_all;
    graph:
        capture_global capture_joined capture_relaxed capture_thread_local graph_conditional graph_early
        graph_host_node graph_kernels graph_memory graph_memory_captured graph_update graph_upload;
    ipc:
        ipc_across ipc_asked ipc_context ipc_event ipc_kept ipc_large ipc_memory ipc_pool ipc_twice;
    launch:
        launch_cooperative launch_ex launch_many launch_refused launch_threads launch_vector_add;
    lookup:
        lookup_dlopen lookup_linked lookup_proc_address lookup_reload lookup_runtime lookup_twice
        lookup_versions;
    peer:
        peer_access peer_pool;
    pointer:
        address_range managed_range pointer_attributes pointer_kinds pointer_range;
    pool:
        pool_attributes pool_contexts pool_default pool_destroyed pool_device pool_keeps pool_makes_room
        pool_mixed pool_no_context pool_order pool_other_context pool_own pool_plain pool_refused pool_share;
    process:
        exit_by_main exit_while_launching fork_after_init fork_before_init fork_daemon fork_exec fork_server
        kill_holder;
    stream:
        event_timing host_func stream_callback stream_many stream_memory_ops stream_no_context
        streams_legacy streams_per_thread;
    vmm:
        vmm_expandable vmm_host vmm_map vmm_no_context vmm_not_mapped vmm_outlives_context vmm_remap
        vmm_share vmm_share_parent vmm_unmap_part vmm_without_context;
}

/// What the simulated driver cannot do natively. Whatever is not here must run.
const NATIVE_CANNOT: &[&str] =
    &["context_green", "graph_conditional", "graph_host_node", "graph_memory", "graph_update"];

/// Where nvshare is not as the driver is.
const DIFFERS: &str = include_str!("../programs/differs.txt");

/// A documented difference.
struct Known {
    /// Each line that is not as natively contains it.
    says: &'static str,
    why: &'static str,
}

/// Each line of [`DIFFERS`]: the program, the engine, and what is known. With the default engine nothing may differ.
fn documented() -> impl Iterator<Item = (&'static str, &'static str, Known)> {
    DIFFERS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let part: Vec<&str> = line.split('|').map(str::trim).collect();
        let [program, engine, says, why] = part[..] else { panic!("{line}: four parts") };
        (program, engine, Known { says, why })
    })
}

#[test]
fn every_program_has_a_test_and_says_what_it_is_about() -> Result<()> {
    let mut found = Vec::new();
    for chapter in std::fs::read_dir(folder())? {
        let chapter = chapter?;
        if !chapter.file_type()?.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(chapter.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "c") {
                let first = std::fs::read_to_string(&path)?.lines().next().unwrap_or_default().to_owned();
                ensure!(
                    first.starts_with("// "),
                    "{}: the first line must say the behaviour",
                    path.display()
                );
                let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
                found.push((chapter.file_name().to_string_lossy().into_owned(), name));
            }
        }
    }
    found.sort();
    let mut listed: Vec<_> =
        PROGRAMS.iter().map(|(chapter, name)| ((*chapter).to_owned(), (*name).to_owned())).collect();
    listed.sort();
    assert_eq!(found, listed);
    assert!(NATIVE_CANNOT.iter().all(|name| is_program(name)), "{NATIVE_CANNOT:?}");
    for (program, engine, _) in documented() {
        ensure!(is_program(program), "differs.txt: there is no program {program}");
        ensure!(
            engine == "managed",
            "differs.txt: {program}: the engine {engine} must do as the driver does"
        );
    }
    Ok(())
}

fn is_program(name: &str) -> bool {
    PROGRAMS.iter().any(|(_, program)| *program == name)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

/// A program's file, below [`folder`].
fn source(name: &str) -> Result<PathBuf> {
    let (chapter, _) = PROGRAMS.iter().find(|(_, program)| *program == name).context("no such program")?;
    Ok(Path::new(chapter).join(format!("{name}.c")))
}

/// How a program ended, and what it had said.
#[derive(PartialEq)]
struct Outcome {
    /// As a shell tells it: 128 and more is a signal.
    code: i32,
    said: String,
}

fn compare(name: &str) -> Result<()> {
    let program = build(name)?;
    let asked = settings(name, "card")?;
    let asked = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let card: Vec<(&str, &str)> = CARD.iter().copied().chain(asked).collect();
    let world = World::new(&card)?;
    let native = run(world.native(&program)?)?;
    if native.code == UNSUPPORTED {
        ensure!(NATIVE_CANNOT.contains(&name), "the simulated driver could do this: {}", native.said);
        println!("native cannot: {name}: {}", native.said.lines().last().unwrap_or_default());
        return Ok(());
    }
    ensure!(native.code == 0, "natively it ends with {}:\n{}", native.code, native.said);
    if let Some(real) = recorded(name)? {
        let wrong = difference(&real, &native)?;
        ensure!(wrong.is_empty(), "the simulated driver is not as a real one (\"native\"):\n{wrong}");
    }
    // Each under a scheduler of its own, so that what a program leaves behind meets nobody else.
    for (engine, contended) in [("swap", false), ("swap", true), ("managed", true)] {
        let world = World::new(&card)?;
        let scheduler = world.scheduler(&["--quantum", "0.01", "--evict", "always"])?;
        let other = if contended {
            let other = world.load(&["--bytes", "8388608", "--seconds", "1000"], &[])?;
            other.next("step")?;
            Some(other)
        } else {
            None
        };
        let mut command = world.command(&program)?;
        command.env("NVSHARE_ENGINE", engine).envs(settings(name, "nvshare")?);
        let shared = run(command)?;
        if contended {
            let turns = scheduler.trace()?.spans.iter().filter(|span| span.kind == "run").count();
            println!("{name}: engine {engine}: {turns} turns");
        }
        drop(other);
        let log = world.tenants_log();
        let warned: Vec<&str> = log.lines().filter(|line| is_warning(line)).collect();
        let place = if contended { "beside another tenant" } else { "alone" };
        let difference = difference(&native, &shared)?;
        if let Some((_, _, known)) = documented().find(|known| (known.0, known.1) == (name, engine)) {
            let why = known.why;
            ensure!(shared != native, "{name} with engine {engine} is as natively, though {why}");
            let lines = difference.lines().filter_map(|line| line.strip_prefix("nvshare: "));
            let other: Vec<&str> =
                lines.filter(|line| *line != NOTHING && !line.contains(known.says)).collect();
            ensure!(
                other.is_empty(),
                "{name} with engine {engine} differs in more than {}: {other:?}",
                known.says
            );
            println!("{name}: engine {engine} differs as documented: {why}:\n{difference}");
        } else if shared != native {
            bail!(
                "{name} under nvshare (engine {engine}), {place}, differs:\n{difference}\nstderr:\n{log}\nscheduler:\n{}",
                scheduler.log()
            );
        } else {
            ensure!(warned.is_empty(), "{name} under nvshare (engine {engine}), {place}, warns: {warned:#?}");
        }
    }
    Ok(())
}

/// Also with the engine of which no memory moves, and where there is no scheduler to grant anything.
#[test]
fn memory_needs_no_context_whatever_the_engine_and_without_a_scheduler() -> Result<()> {
    for name in ["pool_no_context", "vmm_no_context", "vmm_share_parent"] {
        let program = build(name)?;
        let world = World::new(CARD)?;
        let native = run(world.native(&program)?)?;
        for (engine, supervised) in [("plain", true), ("swap", false), ("managed", false), ("plain", false)] {
            let world = World::new(CARD)?;
            let _scheduler = supervised.then(|| world.scheduler(&[])).transpose()?;
            let mut command = world.command(&program)?;
            command.env("NVSHARE_ENGINE", engine);
            let difference = difference(&native, &run(command)?)?;
            ensure!(difference.is_empty(), "{name}, engine {engine}, scheduler {supervised}:\n{difference}");
        }
    }
    Ok(())
}

/// What a pool keeps is used again: no new memory after the first step, and far fewer events than frees.
#[test]
fn a_pool_that_keeps_what_is_freed_asks_the_driver_for_nothing() -> Result<()> {
    let program = build("pool_keeps")?;
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler(&[])?;
    for (planned, code) in [("cuMemCreate:13:719,cuEventRecord:241:719", 0), ("cuMemCreate:3:719", 1)] {
        let mut command = world.command(&program)?;
        command.env("NVSHARE_ENGINE", "swap").env("FAKECUDA_FAIL", planned);
        let outcome = run(command)?;
        assert_eq!(outcome.code, code, "{planned}: {}", outcome.said);
    }
    Ok(())
}

/// What a destroyed pool had kept is given back at once: it is the destruction that meets the failure.
#[test]
fn a_pool_that_is_destroyed_keeps_nothing() -> Result<()> {
    let program = build("pool_destroyed")?;
    let world = World::new(CARD)?;
    let _scheduler = world.scheduler(&[])?;
    let mut command = world.command(&program)?;
    command.env("NVSHARE_ENGINE", "swap").env("FAKECUDA_FAIL", "cuMemAddressFree:0:719");
    let outcome = run(command)?;
    assert_eq!(outcome.code, 1, "{}", outcome.said);
    Ok(())
}

/// Managed memory that cannot become other memory stays what it is, and where it is.
#[test]
fn what_cannot_be_shared_loses_nothing() -> Result<()> {
    let program = build("ipc_kept")?;
    let run = |planned: &str| {
        let world = World::new(CARD)?;
        let _scheduler = world.scheduler(&[])?;
        let mut command = world.command(&program)?;
        command.env("NVSHARE_ENGINE", "managed").env("FAKECUDA_FAIL", planned);
        let outcome = run(command)?;
        ensure!(outcome.code == 0, "{planned}: {}", outcome.said);
        let shared = outcome.said.contains("of one: 0") && outcome.said.contains("of a large one: 0");
        let advised = world.tenants_log().contains("NVSHARE_ENGINE=swap");
        ensure!(shared != advised, "{planned}: {}\n{}", outcome.said, world.tenants_log());
        Ok(shared)
    };
    // No memory for it; its bytes not copied; it cannot be freed.
    for planned in ["cuMemCreate:0:2", "cuMemcpyDtoDAsync:1:2", "cuMemFree:2:2"] {
        ensure!(!run(planned)?, "{planned} is not met");
    }
    // Addresses are refused at any of the many times that they are asked for, also when it has been freed.
    let shared = (1..=40).map(|nth| run(&format!("cuMemAddressReserve:{nth}:2")));
    let shared = shared.collect::<Result<Vec<bool>>>()?.into_iter().filter(|shared| *shared).count();
    ensure!((1..38).contains(&shared), "{shared} of 40 met no refusal");
    Ok(())
}

/// Whether the library has complained. That a drain takes long is no fault: captures, and a busy host, delay it. Nor are
/// a long wait, and a limit that the program has itself.
fn is_warning(line: &str) -> bool {
    let expected =
        ["work did not end within", "out of memory by the limit NVSHARE_MEM_LIMIT", " for its turn on "];
    let warns = line.contains(" warn: ") || line.contains(" error: ");
    warns && !expected.iter().any(|words| line.contains(words))
}

/// The settings that a program asks for in the comment with which it begins, as `common.h` explains: `// nvshare:
/// NAME=VALUE` under nvshare, `// card: NAME=VALUE` of the simulated card.
fn settings(name: &str, of: &str) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(folder().join(source(name)?))?;
    let start = format!("// {of}: ");
    let head = text.lines().take_while(|line| line.starts_with("//"));
    let notes = head.filter_map(|line| line.strip_prefix(&start));
    notes
        .flat_map(str::split_whitespace)
        .map(|word| {
            let (name, value) = word.split_once('=').with_context(|| format!("{word}: NAME=VALUE"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// What the program said on a real driver, if that was recorded.
fn recorded(name: &str) -> Result<Option<Outcome>> {
    let mut parts = RECORDED.split("=== ").skip(1);
    let part = parts.find_map(|part| part.split_once('\n').filter(|(of, _)| *of == name));
    let Some((_, text)) = part else { return Ok(None) };
    let (said, code) =
        text.trim_end().rsplit_once("exit ").with_context(|| format!("{name}: no exit code"))?;
    Ok(Some(Outcome { code: code.parse()?, said: said.to_owned() }))
}

/// Compiles a program, as its own note in `common.h` says.
fn build(name: &str) -> Result<PathBuf> {
    let headers = std::env::var_os("CUDA_HEADERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cuda-headers"), PathBuf::from);
    let headers = headers.join("13");
    ensure!(headers.join("cuda.h").is_file(), "{} holds no cuda.h: run `make setup`", headers.display());
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{name}"));
    // Two tests may build the same.
    let made = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR"))?.into_temp_path();
    let compiled = Command::new("cc")
        .current_dir(folder())
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-I", ".", "-I"])
        .arg(headers)
        .arg("-o")
        .arg(&made)
        .arg(source(name)?)
        // Linked only if it calls the driver by name.
        .arg("-Wl,--as-needed")
        .arg(built()?.join("libfakecuda.so"))
        .output()?;
    ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    made.persist(&program)?;
    Ok(program)
}

/// Runs to the end; one that does not end is killed, with its children.
fn run(mut command: Command) -> Result<Outcome> {
    let child =
        command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("{command:?}"))?;
    let group = child.id();
    let (send, ended) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    let kill = || Command::new("kill").args(["-KILL", "--"]).arg(format!("-{group}")).status();
    let output = match ended.recv_timeout(PATIENCE) {
        Ok(output) => output?,
        Err(_) => {
            kill()?;
            let output = ended.recv_timeout(PATIENCE).context("a killed program does not end")??;
            bail!(
                "does not end within {} s: {}",
                PATIENCE.as_secs(),
                String::from_utf8_lossy(&output.stdout)
            );
        }
    };
    let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
    Ok(Outcome { code, said: String::from_utf8_lossy(&output.stdout).into_owned() })
}

/// The lines that are not the same, native first.
fn difference(native: &Outcome, shared: &Outcome) -> Result<String> {
    let mut text = String::new();
    if native.code != shared.code {
        writeln!(text, "exit code: native {}, nvshare {}", native.code, shared.code)?;
    }
    let (mut native, mut shared) = (native.said.lines(), shared.said.lines());
    loop {
        match (native.next(), shared.next()) {
            (None, None) => return Ok(text),
            (one, other) if one == other => {}
            (one, other) => {
                writeln!(text, "native:  {}", one.unwrap_or(NOTHING))?;
                writeln!(text, "nvshare: {}", other.unwrap_or(NOTHING))?;
            }
        }
    }
}
