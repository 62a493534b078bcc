//! What passes between tenants and the scheduler, and what the scheduler learns of them elsewhere.
use minicbor::{Decode, Encode};
use nvshare_protocol::frame::{Broken, MAX_BODY, Reader, Received};
use nvshare_protocol::job_rules::{self, JobRules};
use nvshare_protocol::tenant::{Moves, ToScheduler, ToTenant};
use nvshare_scheduler::identity;
use nvshare_scheduler::tenants::validate;
use std::fmt::Debug;

/// A stream in pieces of 1 to 4096 bytes, the size by the first two bytes: `each` gets what was said.
///
/// Promises: the reader stays small, and what was understood says the same when it is written again.
fn read<M>(bytes: &[u8], mut each: impl FnMut(M))
where
    M: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    let Some((size, stream)) = bytes.split_first_chunk::<2>() else { return };
    let piece = usize::from(u16::from_le_bytes(*size)) % 4096 + 1;
    let mut reader = Reader::default();
    for part in stream.chunks(piece) {
        reader.feed(part);
        assert!(reader.footprint() <= 2 * (4 + MAX_BODY + piece));
        loop {
            match reader.next::<M>() {
                Ok(Some(Received::Message(message))) => {
                    let again = minicbor::to_vec(&message).expect("a message can be written");
                    assert_eq!(minicbor::decode::<M>(&again).expect("what we write can be read"), message);
                    each(message);
                }
                Ok(Some(Received::Unknown)) => {}
                Ok(None) => break,
                Err(why @ (Broken::Length(_) | Broken::Body(_))) => {
                    assert!(!why.to_string().is_empty());
                    return;
                }
            }
        }
    }
}

/// Promise: no text that is let in steers a terminal or forges a line of the log, and no list is long.
pub fn to_scheduler(bytes: &[u8]) {
    let harmless = |text: &str| assert!(!text.contains(char::is_control), "{text:?}");
    read(bytes, |said: ToScheduler| match said {
        ToScheduler::Hello(hello) => {
            if let Ok(hello) = validate::hello(hello) {
                [hello.program, hello.library, hello.engine].iter().for_each(|text| harmless(text));
            }
        }
        other => match validate::message(other) {
            Ok(ToScheduler::Device(device)) => harmless(&device.name),
            Ok(ToScheduler::Report(text)) => harmless(&text),
            Ok(ToScheduler::Moves(moves)) => {
                assert!(moves.len() <= 64, "{} devices", moves.len());
                let possible = |said: &Moves| said.away_content.0 <= 1 << 46 && said.clean.0 <= 1 << 46;
                assert!(moves.iter().all(possible), "{moves:?}");
            }
            Ok(_) | Err(_) => {}
        },
    });
}

pub fn to_tenant(bytes: &[u8]) {
    read(bytes, |_: ToTenant| {});
}

/// Promise: what a replay says can be replayed, and says the same then; but for carriage returns, which are part of
/// an end of line or of a remark by what comes after them.
pub fn trace(bytes: &[u8]) {
    let Some(log) = std::str::from_utf8(bytes).ok().filter(|log| !log.contains('\r')) else { return };
    if let Ok(transcript) = nvshare_core::replay(log) {
        assert_eq!(nvshare_core::replay(&transcript).as_ref(), Ok(&transcript));
    }
}

/// Promise: an id is one, and stands in the file. So does a job, whose rules are what they are when they are written again.
pub fn cgroup(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let rules = JobRules::parse(&text);
    assert_eq!(JobRules::parse(&rules.text()), rules);
    for line in text.lines() {
        let Some((directory, step)) = identity::slurm::find(line) else { continue };
        assert!(line.starts_with(directory) && directory.ends_with(&step.job_name()), "{line}");
        assert!(step.step.is_empty() || job_rules::is_step(&step.step), "{line}");
    }
    let Some(id) = identity::container(&text) else { return };
    assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.contains(&id));
    let place = nvshare_scheduler::identity::cgroup::Container { id: id.clone(), step: None, place: None };
    let who = identity::Identity { pid: 1, container: Some(place), ..identity::Identity::default() };
    assert_eq!(who.shown().as_deref(), Some(&id[..12]));
}
