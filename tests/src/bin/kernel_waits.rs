//! A tenant whose kernel ends when the program says so, which it does only after further launches: draining must not
//! wait for both. `kernel_waits SECONDS`.
use anyhow::{Context as _, Result};
use nvshare_tests::cuda::{Cuda, Lookup};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).context("usage: kernel_waits SECONDS")?.parse()?;
    let cuda = Cuda::load(Lookup::Dlsym)?;
    cuda.begin()?;
    let (wait_flag, fill) = (cuda.function("wait_flag")?, cuda.function("fill")?);
    let block = cuda.allocate(1 << 20)?;
    let flag = cuda.shared_word()?;
    let (waiting, working) = (cuda.stream()?, cuda.stream()?);
    cuda.launch_on(waiting, wait_flag, &mut [flag.as_ptr() as u64])?;
    println!("{{\"waits\": true}}");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        cuda.launch_on(working, fill, &mut [block, 1, 16])?;
        std::thread::sleep(Duration::from_millis(2));
    }
    flag.store(1, SeqCst);
    cuda.synchronize()?;
    println!("{{\"ended\": true}}");
    Ok(())
}
