//! Validates what a tenant sends: what passes cannot harm the core, the log or a terminal.
use crate::text::clean;
use nvshare_core::MAX_DEVICES;
use nvshare_protocol::tenant::{DeviceInfo, Hello, MemoryReport, Moves, ToScheduler};
use nvshare_protocol::{Bytes, DeviceId};
use std::fmt;

/// No device has more; the sum over all devices that one tenant may name stays within 64 bits.
const MOST: Bytes = Bytes(1 << 46);

/// The longest texts, in characters; longer ones are cut.
pub const PROGRAM: usize = 64;
const DEVICE_NAME: usize = 96;
const VERSION: usize = 32;
const GANG: usize = 128;

/// No host runs a larger job.
const GANG_SIZE: u32 = 4096;

const REPORT: usize = 256;

/// A rule that a tenant has broken. Its connection is lost: our own libraries do not say such things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The first message is another.
    NoHello,
    SecondHello,
    /// The hello's version is 0.
    Version,
    /// No device has so much memory, or none.
    Capacity {
        device: DeviceId,
        capacity: Bytes,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHello => f.write_str("the first message is no hello"),
            Self::SecondHello => f.write_str("a second hello"),
            Self::Version => f.write_str("a hello of version 0 (allowed: 1 and more)"),
            Self::Capacity { device, capacity } => {
                write!(f, "{device} of {} bytes (allowed: 1 to {})", capacity.0, MOST.0)
            }
        }
    }
}

/// The hello of a connection.
///
/// # Errors
/// What is wrong with it.
pub fn hello(hello: Hello) -> Result<Hello, Violation> {
    if hello.version == 0 {
        return Err(Violation::Version);
    }
    Ok(Hello {
        program: clean(&hello.program, PROGRAM),
        library: clean(&hello.library, VERSION),
        engine: clean(&hello.engine, VERSION),
        gang: hello.gang.as_deref().filter(|gang| !gang.is_empty()).map(|gang| clean(gang, GANG)),
        gang_size: hello.gang_size.filter(|size| (1..=GANG_SIZE).contains(size)),
        ..hello
    })
}

/// Anything after the hello.
///
/// # Errors
/// What is wrong with it.
pub fn message(message: ToScheduler) -> Result<ToScheduler, Violation> {
    Ok(match message {
        ToScheduler::Hello(_) => return Err(Violation::SecondHello),
        ToScheduler::Device(named) => ToScheduler::Device(device(named)?),
        ToScheduler::Memory(report) => ToScheduler::Memory(memory(report)),
        ToScheduler::Moves(moves) => {
            ToScheduler::Moves(moves.into_iter().take(MAX_DEVICES).map(counted).collect())
        }
        ToScheduler::Report(text) => ToScheduler::Report(clean(&text, REPORT)),
        plain @ (ToScheduler::Request
        | ToScheduler::Ready(_)
        | ToScheduler::Released(_)
        | ToScheduler::DrainCancelled(_)
        | ToScheduler::Idle(_)
        | ToScheduler::Evicted(_)
        | ToScheduler::SwapWanted(_)
        | ToScheduler::MemoryRefused(_)) => plain,
    })
}

fn device(named: DeviceInfo) -> Result<DeviceInfo, Violation> {
    if named.capacity == Bytes::ZERO || named.capacity > MOST {
        return Err(Violation::Capacity { device: named.device, capacity: named.capacity });
    }
    Ok(DeviceInfo { name: clean(&named.name, DEVICE_NAME), ..named })
}

fn memory(report: MemoryReport) -> MemoryReport {
    let allocated = report.allocated.min(MOST);
    let part = |bytes: Bytes| bytes.min(allocated);
    MemoryReport { allocated, resident: part(report.resident), immovable: part(report.immovable), ..report }
}

/// What is away and what is resident are parts of one device's memory. The counters say nothing by themselves: only what
/// they grow by does, which is bounded where they are read.
fn counted(moves: Moves) -> Moves {
    Moves { away_content: moves.away_content.min(MOST), clean: moves.clean.min(MOST), ..moves }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_hello() -> Hello {
        Hello {
            version: 1,
            program: "p\u{1b}[31m".into(),
            library: "9".repeat(100),
            engine: "managed".into(),
            ..Hello::default()
        }
    }

    #[test]
    fn words_are_cleaned_and_cut() {
        let hello = hello(a_hello()).unwrap();
        assert_eq!(hello.program, "p?[31m");
        assert_eq!(hello.library.chars().count(), 32);
        let ToScheduler::Report(text) = message(ToScheduler::Report("x\ny".into())).unwrap() else {
            panic!()
        };
        assert_eq!(text, "x?y");
    }

    #[test]
    fn a_job_has_a_size_that_a_host_can_run() {
        for (said, kept) in [(0, None), (1, Some(1)), (4096, Some(4096)), (4097, None), (u32::MAX, None)] {
            let said = Hello { gang_size: Some(said), ..a_hello() };
            assert_eq!(hello(said).unwrap().gang_size, kept);
        }
    }

    #[test]
    fn what_no_library_of_ours_says_is_refused() {
        assert_eq!(hello(Hello { version: 0, ..a_hello() }), Err(Violation::Version));
        assert_eq!(message(ToScheduler::Hello(a_hello())), Err(Violation::SecondHello));
        for capacity in [0, u64::MAX] {
            let device =
                DeviceInfo { device: DeviceId::default(), capacity: Bytes(capacity), name: String::new() };
            let refused = message(ToScheduler::Device(device));
            assert!(matches!(refused, Err(Violation::Capacity { .. })), "{refused:?}");
        }
    }

    #[test]
    fn moves_are_of_as_many_devices_as_there_can_be() {
        let one = Moves { away_content: Bytes::MAX, clean: Bytes::MAX, ..Moves::default() };
        let said = message(ToScheduler::Moves(vec![one; MAX_DEVICES + 1])).unwrap();
        let kept = Moves { away_content: MOST, clean: MOST, ..one };
        assert_eq!(said, ToScheduler::Moves(vec![kept; MAX_DEVICES]));
    }

    #[test]
    fn a_part_is_no_more_than_the_whole() {
        let report = MemoryReport {
            engine: None,
            device: DeviceId::default(),
            allocated: Bytes(5),
            resident: Bytes(9),
            immovable: Bytes::MAX,
        };
        let memory = memory(report);
        assert_eq!((memory.allocated, memory.resident, memory.immovable), (Bytes(5), Bytes(5), Bytes(5)));
    }
}
