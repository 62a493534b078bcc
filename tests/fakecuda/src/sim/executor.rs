//! The thread that lets a process's streams run: begins what may begin, ends what is due, sleeps in between.
//!
//! Start and end of a piece of work are computed on the simulated timeline that all processes share: it starts
//! when what it waits for has ended and its engine is free, also where this thread comes late. So durations do
//! not depend on how busy the host is.
use crate::sim::clock;
use crate::sim::effects;
use crate::sim::process::{Inner, Process};
use crate::sim::stream::Key;
use crate::sim::work::{self, Work};
use nvshare_abi::CUresult;
use std::sync::MutexGuard;
use std::time::Duration;

/// How often a kernel looks at its flag, and a waiter whether the engine's user still lives.
pub const LOOK: Duration = Duration::from_millis(5);

/// No nap is shorter: below, waking costs more than it is late.
const SHORTEST: Duration = Duration::from_micros(20);

/// What a look at a stream's first piece of work showed.
enum Look {
    /// Nothing to do before something else ends.
    Blocked,
    /// Nothing to do for so long.
    Wait(Duration),
    Began,
    Ended(u64),
}

/// Starts the thread. It takes no signals, and dies with the process.
pub fn start(process: &'static Process) {
    // SAFETY: signal sets are plain data for which zeroes are valid; pointers to locals.
    let old = unsafe {
        let (mut all, mut old) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        old
    };
    std::thread::Builder::new()
        .name("fakecuda".to_owned())
        .spawn(move || run(process))
        .expect("start the device's thread");
    // SAFETY: the set that was saved above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut()) };
}

fn run(process: &'static Process) {
    let mut inner = process.inner();
    loop {
        let streams = inner.streams.all.iter().filter(|(_, stream)| !stream.queue.is_empty());
        let keys: Vec<_> = streams.map(|(key, _)| *key).collect();
        let mut progress = false;
        let mut wait: Option<Duration> = None;
        for key in keys {
            match look(process, &mut inner, key) {
                Look::Blocked => {}
                Look::Wait(time) => wait = Some(wait.map_or(time, |w| w.min(time))),
                Look::Began => progress = true,
                Look::Ended(end) => {
                    inner = finish(process, inner, key, end);
                    progress = true;
                }
            }
        }
        if progress {
            continue;
        }
        inner = match wait {
            None => process.wait(inner),
            Some(time) => {
                process
                    .work_changed
                    .wait_timeout(inner, time.max(SHORTEST))
                    .unwrap_or_else(|e| e.into_inner())
                    .0
            }
        };
    }
}

fn look(process: &Process, inner: &mut Inner, key: Key) -> Look {
    let Inner { streams, memory, broken, .. } = inner;
    let Some(op) = streams.all.get_mut(&key).and_then(|stream| stream.queue.front_mut()) else {
        return Look::Blocked;
    };
    let now = process.world.now();
    if let Some((_, end)) = op.running {
        if op.work.awaits() && broken.is_none() {
            if !work::is_valid(&op.work, memory, op.device) {
                *broken = Some(CUresult::ERROR_ILLEGAL_ADDRESS);
                return Look::Ended(now);
            }
            // SAFETY: just checked, and while `inner` is locked no memory is taken away.
            let come = unsafe { op.work.has_come() };
            return if come { Look::Ended(now) } else { Look::Wait(LOOK) };
        }
        return if end <= now { Look::Ended(end) } else { Look::Wait(clock::wall(end - now)) };
    }
    let mut ready = op.submitted;
    for mark in &op.after {
        match mark.end() {
            Some(end) => ready = ready.max(end),
            None if mark.is_foreign() => return Look::Wait(LOOK),
            None => return Look::Blocked,
        }
    }
    if broken.is_some()
        || matches!(op.work, Work::Nothing | Work::Free { .. } | Work::Host { .. } | Work::Callback { .. })
    {
        op.running = Some((ready, ready));
        return Look::Began;
    }
    let slot = process.world.slot;
    let mut shared = process.world.lock();
    if let Some(engine) = work::engine(&op.work, &mut shared.devices[op.device]) {
        if engine.free_at > now && engine.slot != slot as u64 {
            shared.reap();
            let engine = work::engine(&op.work, &mut shared.devices[op.device]).expect("as above");
            if engine.free_at > now {
                return Look::Wait(clock::wall(engine.free_at - now).min(LOOK));
            }
        } else if engine.free_at > now {
            return Look::Wait(clock::wall(engine.free_at - now));
        }
    }
    let free_at = work::engine(&op.work, &mut shared.devices[op.device]).map_or(0, |e| e.free_at);
    let start = ready.max(free_at);
    let nanos = match effects::begin(&op.work, memory, &mut shared, op.device, slot, start) {
        Ok(nanos) => nanos,
        Err(error) => {
            *broken = Some(error);
            0
        }
    };
    if let Some(engine) = work::engine(&op.work, &mut shared.devices[op.device]) {
        engine.free_at = engine.free_at.max(start + nanos);
        engine.slot = slot as u64;
    }
    op.running = Some((start, start + nanos));
    Look::Began
}

/// Takes the work out of its stream, does what it does, and tells who waits.
fn finish<'a>(
    process: &'a Process,
    mut inner: MutexGuard<'a, Inner>,
    key: Key,
    end: u64,
) -> MutexGuard<'a, Inner> {
    let Some(stream) = inner.streams.all.get_mut(&key) else { return inner };
    let Some(op) = stream.queue.pop_front() else { return inner };
    if stream.doomed && stream.queue.is_empty() {
        inner.streams.all.remove(&key);
    }
    if let Work::Free { start } = op.work {
        drop(inner);
        // It was there at the call, and nobody else frees what is leaving but the end of its context.
        let _ = process.free(start);
        inner = process.inner();
    } else if inner.broken.is_none() && !matches!(op.work, Work::Nothing | Work::Prefetch { .. }) {
        drop(inner);
        // A host function may free memory itself; it touches none of the device's.
        let layout =
            (!matches!(op.work, Work::Host { .. } | Work::Callback { .. })).then(|| process.layout());
        inner = process.inner();
        if work::is_valid(&op.work, &inner.memory, op.device) {
            drop(inner);
            effects::finish(&op.work);
            inner = process.inner();
        } else {
            inner.broken = Some(CUresult::ERROR_ILLEGAL_ADDRESS);
        }
        drop(layout);
    }
    op.mark.set(end);
    process.work_changed.notify_all();
    inner
}
