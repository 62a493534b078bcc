//! One process of a job: in every step it adds one to every word that it has, and meets the others inside a kernel, as a
//! collective does: its kernel ends when all have begun theirs. They meet on the host before, as launchers let them, when all
//! have a context. It checks all words at the end.
#![allow(unsafe_code)] // maps a file that all processes share
use anyhow::{Result, ensure};
use clap::Parser;
use nvshare_tests::cuda::{Cuda, Lookup};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{Error, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Words of the file in which the processes meet.
const WORDS: usize = 1 << 20;

#[derive(Parser)]
struct Args {
    /// The number of the device.
    #[arg(long)]
    device: i32,
    /// The number of this process in its job, and how many there are.
    #[arg(long)]
    rank: usize,
    #[arg(long)]
    ranks: usize,
    /// A file that the job's processes share; the first one makes it.
    #[arg(long)]
    meet: PathBuf,
    /// Memory to work on, in bytes.
    #[arg(long)]
    bytes: usize,
    /// The first process stops the job after so many seconds.
    #[arg(long)]
    seconds: f64,
}

/// The words of the file, which all processes of the job have mapped.
fn shared(path: &PathBuf) -> Result<&'static [AtomicU32]> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.set_len((WORDS * 4) as u64)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of a file that is as long.
    let start = unsafe { libc::mmap(null_mut(), WORDS * 4, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    ensure!(start != libc::MAP_FAILED, "the file cannot be mapped: {}", Error::last_os_error());
    // SAFETY: the mapping is never undone; processes and kernels change its words as a whole.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU32>(), WORDS) })
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cuda = Cuda::load(Lookup::default())?;
    cuda.begin_on(args.device)?;
    let (fill, add_one, wait) =
        (cuda.function("fill")?, cuda.function("add_one")?, cuda.function("wait_flag")?);
    let meet = shared(&args.meet)?;
    // The first word says after which step all stop, the next ones who is here; a step has a word for each process behind.
    let (stop, here) = (&meet[0], &meet[1..=args.ranks]);
    here[args.rank].store(1, SeqCst);
    while here.iter().any(|word| word.load(SeqCst) == 0) {
        std::thread::yield_now();
    }
    let words = args.bytes / 4;
    let block = cuda.allocate(words * 4)?;
    cuda.launch(fill, &mut [block, args.rank as u64, words as u64])?;
    // SAFETY: the whole mapping, which stays.
    unsafe { cuda.register(meet.as_ptr().cast_mut().cast(), WORDS * 4)? };
    cuda.synchronize()?;
    let word = |step: u32, rank: usize| meet[1 + (step as usize + 1) * args.ranks + rank].as_ptr() as u64;
    let most = u32::try_from((WORDS - 1) / args.ranks - 1)?;
    let (start, mut last, mut longest, mut steps) = (Instant::now(), Instant::now(), Duration::ZERO, 0);
    while steps < most && !matches!(stop.load(SeqCst), 1.. if steps >= stop.load(SeqCst)) {
        if args.rank == 0 && start.elapsed().as_secs_f64() > args.seconds && stop.load(SeqCst) == 0 {
            // Nobody is further: they wait for this one in the step that comes.
            stop.store(steps + 1, SeqCst);
        }
        cuda.launch(add_one, &mut [block, words as u64])?;
        cuda.launch(fill, &mut [word(steps, args.rank), 1, 1])?;
        for other in (0..args.ranks).filter(|other| *other != args.rank) {
            cuda.launch(wait, &mut [word(steps, other)])?;
        }
        cuda.synchronize()?;
        steps += 1;
        (longest, last) = (longest.max(last.elapsed()), Instant::now());
        if steps % 16 == 1 {
            println!("{}", json!({ "step": steps, "seconds": start.elapsed().as_secs_f64() }));
            std::io::stdout().flush()?;
        }
    }
    let wrong = cuda.count_wrong(block, words, u32::try_from(args.rank)? + steps)?;
    println!("{}", json!({ "steps": steps, "wrong": wrong, "longest_seconds": longest.as_secs_f64() }));
    ensure!(wrong == 0, "{wrong} words are wrong");
    Ok(())
}
