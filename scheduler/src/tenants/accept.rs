//! Accepts connections: the kernel says whose they are, they are counted, and refused where a limit is reached.
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

/// How long to wait after a failed accept, for instance without file descriptors. The connection stays in the backlog.
pub const BACK_OFF: Duration = Duration::from_millis(100);

/// The send buffer in bytes; the kernel doubles it.
const SEND_BUFFER: usize = 16 * 1024;

/// The kernel's errors about a process that has ended; which one depends on its version.
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

/// Reserves the descriptors that it takes to identify a peer: one for its process and one for a file of `/proc`.
fn spare() -> io::Result<[OwnedFd; 2]> {
    let spare = OwnedFd::from(File::open("/dev/null")?);
    Ok([spare.try_clone()?, spare])
}

fn permit(stream: UnixStream, permits: &Permits, shared: &Arc<Shared>) {
    let who = match Identity::of(&stream, &shared.host) {
        Ok(who) => who,
        // Another process keeps its connection, and is not its peer.
        Err(error) if error.raw_os_error().is_some_and(|code| ENDED.contains(&code)) => {
            return tracing::debug!("a connection whose process has ended is closed");
        }
        Err(error) => {
            return shared
                .log
                .warn(&format!("a connection whose process cannot be known is closed: {error}"));
        }
    };
    // Messages for a peer that does not read wait in our mailbox, where newer ones replace older ones.
    if let Err(error) = setsockopt(&stream, SndBuf, &SEND_BUFFER) {
        tracing::debug!("the send buffer of a connection stays as it is: {error}");
    }
    match permits.acquire(&who) {
        Ok(permit) => {
            tokio::spawn(connection::serve(stream, who, permit, Arc::clone(shared)));
        }
        Err(reached) => {
            let why = reached.to_string();
            no_place(&stream, &why, shared.rules().full_fails);
            shared.events.publish(AuditEvent {
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

/// Libraries that do not know the first message skip it.
fn no_place(stream: &UnixStream, why: &str, fails: bool) {
    let mut out = Vec::new();
    frame::write(&ToTenant::NoPlace(NoPlace { why: why.to_owned(), fails }), &mut out);
    frame::write(&ToTenant::Refused(why.to_owned()), &mut out);
    let _ = stream.try_write(&out);
}
