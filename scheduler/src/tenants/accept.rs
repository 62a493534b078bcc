//! New connections: counted, known by the kernel's word, refused where there is no room.
use super::connection;
use super::permits::Permits;
use super::shared::Shared;
use crate::identity::Identity;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use nvshare_protocol::control::AuditEvent;
use nvshare_protocol::frame;
use nvshare_protocol::tenant::{NoPlace, ToTenant};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// After a failed accept, as when there are no more file descriptors: the connection stays in line.
pub const BACK_OFF: Duration = Duration::from_millis(100);

/// What the kernel keeps of what was written and not read, bytes; it doubles that for its own needs.
const SEND_BUFFER: usize = 16 * 1024;

/// What the kernel answers about a process that has ended, by its version.
const ENDED: [i32; 2] = [libc::ESRCH, libc::EINVAL];

/// Serves `listener` for ever.
pub async fn serve(listener: UnixListener, permits: Permits, shared: Arc<Shared>) {
    loop {
        let spare = match spare() {
            Ok(spare) => spare,
            Err(error) => {
                put_off(&shared, &error).await;
                continue;
            }
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                drop(spare);
                permit(stream, &permits, &shared);
            }
            Err(error) => put_off(&shared, &error).await,
        }
    }
}

async fn put_off(shared: &Shared, error: &io::Error) {
    shared.log.warn(&format!("a tenant's connection cannot be accepted yet: {error}"));
    tokio::time::sleep(BACK_OFF).await;
}

/// What it takes to know whose a connection is, kept back until there is one: its process's descriptor and a file of
/// `/proc`.
fn spare() -> io::Result<[OwnedFd; 2]> {
    let spare = OwnedFd::from(File::open("/dev/null")?);
    Ok([spare.try_clone()?, spare])
}

fn permit(stream: UnixStream, permits: &Permits, shared: &Arc<Shared>) {
    let who = match Identity::of(&stream, &shared.host) {
        Ok(who) => who,
        // As processes do: whoever keeps its connection is nobody.
        Err(error) if error.raw_os_error().is_some_and(|code| ENDED.contains(&code)) => {
            return tracing::debug!("a connection whose process has ended is closed");
        }
        Err(error) => {
            return shared
                .log
                .warn(&format!("a connection whose process cannot be known is closed: {error}"));
        }
    };
    // What waits for a peer that does not read waits here, where newer words take the place of older ones.
    if let Err(error) = setsockopt(&stream, SndBuf, &SEND_BUFFER) {
        tracing::debug!("the send buffer of a connection stays as it is: {error}");
    }
    match permits.acquire(&who) {
        Ok(permit) => {
            tokio::spawn(connection::serve(stream, who, permit, Arc::clone(shared)));
        }
        Err(reached) => {
            let why = reached.to_string();
            no_place(&stream, &why, shared.full_fails);
            shared.events.publish(|| AuditEvent {
                kind: "refused".into(),
                pid: Some(who.pid),
                container: who.shown(),
                text: Some(why.clone()),
                ..AuditEvent::default()
            });
            shared.log.warn_of(&who, &format!("refused {who}: {why}"));
        }
    }
}

/// Libraries that do not know the first word skip it.
fn no_place(stream: &UnixStream, why: &str, fails: bool) {
    let mut out = Vec::new();
    frame::write(&ToTenant::NoPlace(NoPlace { why: why.to_owned(), fails }), &mut out);
    frame::write(&ToTenant::Refused(why.to_owned()), &mut out);
    let _ = stream.try_write(&out);
}
