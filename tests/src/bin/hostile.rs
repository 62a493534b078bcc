//! Connections that say whatever the tenants' language has words for, with extreme numbers, at any time: a hostile user's
//! tenants, with no GPU work behind them. Prints how many messages were sent, when stdin closes.
use anyhow::{Context as _, Result};
use clap::Parser;
use nvshare_protocol::frame::{self, Reader, Received};
use nvshare_protocol::tenant::*;
use nvshare_protocol::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[derive(Parser)]
struct Args {
    socket: PathBuf,
    /// The GPU that others use, by its UUID.
    gpu: String,
    #[arg(long, default_value_t = 60)]
    connections: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The same seed says the same, as far as the answers are the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }

    /// A number of bytes, often an extreme one.
    fn bytes(&mut self) -> Bytes {
        Bytes(match self.roll(8) {
            0 => u64::MAX,
            1 => 0,
            2 => 1 << 44,
            3 => 1 << 30,
            _ => self.roll(1 << 28),
        })
    }
}

struct Liar {
    args: Arc<Args>,
    gpu: DeviceId,
    dice: Dice,
    sent: Arc<AtomicU64>,
}

fn device_id(text: &str) -> Result<DeviceId> {
    let digits: String = text.trim_start_matches("GPU-").chars().filter(|c| *c != '-').collect();
    Ok(DeviceId(u128::from_str_radix(&digits, 16).context("a UUID")?.to_be_bytes()))
}

fn main() -> Result<()> {
    let args = Arc::new(Args::parse());
    let gpu = device_id(&args.gpu)?;
    let (sent, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..args.connections)
        .map(|n| {
            let dice = Dice((args.seed * 1_000 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut liar = Liar { args: Arc::clone(&args), gpu, dice, sent: Arc::clone(&sent) };
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Relaxed) {
                    // However it ends, it comes again.
                    let _ = liar.converse(&over);
                }
            })
        })
        .collect();
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    over.store(true, Relaxed);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    println!("{}", serde_json::json!({ "sent": sent.load(Relaxed) }));
    Ok(())
}

impl Liar {
    fn say(&mut self, stream: &mut UnixStream, message: &ToScheduler) -> Result<()> {
        let mut out = Vec::new();
        frame::write(message, &mut out);
        stream.write_all(&out)?;
        self.sent.fetch_add(1, Relaxed);
        Ok(())
    }

    /// One connection, to its end.
    fn converse(&mut self, over: &AtomicBool) -> Result<()> {
        let mut stream = UnixStream::connect(&self.args.socket)?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        if self.dice.roll(50) == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        }
        let hello = self.hello();
        self.say(&mut stream, &ToScheduler::Hello(hello))?;
        let (mut reader, mut lease) = (Reader::default(), LeaseId::default());
        let mut bytes = [0; 4096];
        while !over.load(Relaxed) {
            let pause = Duration::from_micros(500 + self.dice.roll(18_000));
            stream.set_read_timeout(Some(pause))?;
            match stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(n) => reader.feed(&bytes[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            while let Some(received) = reader.next::<ToTenant>()? {
                match received {
                    Received::Message(ToTenant::Grant(grant)) => lease = grant.lease,
                    Received::Message(ToTenant::Revoke(revoke)) => lease = revoke.lease,
                    _ => {}
                }
            }
            if self.dice.roll(4_000) == 0 {
                return Ok(());
            }
            let message = self.anything(lease);
            self.say(&mut stream, &message)?;
        }
        Ok(())
    }

    fn hello(&mut self) -> Hello {
        let roll = self.dice.roll(1 << 20);
        let names = ["python3", "python3, pid 1, container 4f1d) left; tenant 1 (load", "\u{1b}[2J", ""];
        Hello {
            version: 1 + self.dice.roll(6) as u32,
            instance: InstanceId(u128::from(roll).to_le_bytes()),
            program: names[self.dice.roll(4) as usize].into(),
            library: "0.1.0".into(),
            engine: ["swap", "auto", "managed", "plain"][self.dice.roll(4) as usize].into(),
            holds: self.dice.roll(4) == 0,
            pid: 1,
            weight: Some(self.dice.roll(2_000) as u32),
            limit: None,
            swap: Some(self.dice.bytes()),
            priority: Some(self.dice.roll(4) as u32),
            time_share: None,
            gang: ["", "job", "other"].get(self.dice.roll(6) as usize).map(ToString::to_string),
            gang_size: [None, Some(0), Some(2), Some(u32::MAX)][self.dice.roll(4) as usize],
        }
    }

    fn device(&mut self) -> DeviceId {
        match self.dice.roll(16) {
            0 => DeviceId(u128::from(self.dice.roll(u64::MAX)).to_le_bytes()),
            _ => self.gpu,
        }
    }

    /// Counters that rise, fall and jump, of devices that it has and has not.
    fn moves(&mut self) -> Vec<Moves> {
        let count = if self.dice.roll(8) == 0 { 100 } else { 1 };
        let mut one = || Moves {
            device: self.device(),
            copied_out: self.dice.bytes(),
            unchanged: self.dice.bytes(),
            zero_out: self.dice.bytes(),
            copied_in: self.dice.bytes(),
            zero_in: self.dice.bytes(),
            away_content: self.dice.bytes(),
            clean: self.dice.bytes(),
        };
        (0..count).map(|_| one()).collect()
    }

    fn anything(&mut self, lease: LeaseId) -> ToScheduler {
        let lease = if self.dice.roll(4) == 0 { LeaseId(self.dice.roll(1_000)) } else { lease };
        let device = self.device();
        let share = Share { device, bytes: self.dice.bytes() };
        let some_time = Nanos(self.dice.roll(u64::MAX));
        match self.dice.roll(14) {
            0 => ToScheduler::Device(DeviceInfo {
                device,
                capacity: Bytes(1 + self.dice.bytes().0 % (1 << 46)),
                name: "NVIDIA H200".into(),
            }),
            1..=3 => {
                let (allocated, resident, immovable) =
                    (self.dice.bytes(), self.dice.bytes(), self.dice.bytes());
                let engine = Some(self.dice.roll(5) as u32);
                ToScheduler::Memory(MemoryReport { device, allocated, resident, immovable, engine })
            }
            4 | 5 => ToScheduler::Request,
            6 => ToScheduler::Ready(Ready { lease, fetched: vec![share], took: some_time }),
            7 => ToScheduler::Released(Released {
                lease,
                evicted: vec![share],
                drain: some_time,
                evict: some_time,
            }),
            8 => ToScheduler::DrainCancelled(lease),
            9 => ToScheduler::Idle(lease),
            10 => ToScheduler::MemoryRefused(share),
            11 => ToScheduler::SwapWanted(self.dice.bytes()),
            12 => ToScheduler::Moves(self.moves()),
            _ => match self.dice.roll(40) {
                0 => ToScheduler::Hello(self.hello()),
                1 => ToScheduler::Report("all is well; tenant 1 (load, pid 1) left".into()),
                _ => ToScheduler::Evicted(vec![share]),
            },
        }
    }
}
