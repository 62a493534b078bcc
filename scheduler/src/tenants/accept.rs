//! New connections: counted, known by the kernel's word, refused where there is no room.
use super::connection::{self, Shared};
use super::limits::Seats;
use crate::identity::Identity;
use nvshare_protocol::control::Event;
use nvshare_protocol::frame;
use nvshare_protocol::tenant::ToTenant;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// After a failed accept, as when there are no more file descriptors: the connection stays in line.
pub const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `listener` for ever.
pub async fn serve(listener: UnixListener, seats: Seats, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(reason) = seat(stream, &seats, &shared) {
                    shared.seldom.warn(&reason);
                }
            }
            Err(error) => {
                shared.seldom.warn(&format!("a tenant's connection cannot be accepted yet: {error}"));
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

fn seat(stream: UnixStream, seats: &Seats, shared: &Arc<Shared>) -> Result<(), String> {
    let who = Identity::of(&stream).map_err(|error| format!("a connection without credentials: {error}"))?;
    match seats.take(&who) {
        Ok(seat) => {
            tokio::spawn(connection::serve(stream, who, seat, Arc::clone(shared)));
            Ok(())
        }
        Err(reached) => {
            refuse(&stream, &reached.to_string());
            shared.feed.tell(|| Event {
                kind: "refused".into(),
                pid: Some(who.pid),
                container: who.short().map(str::to_owned),
                text: Some(reached.to_string()),
                ..Event::default()
            });
            Err(format!("refused {who}: {reached}"))
        }
    }
}

/// Says why, as far as it can be said without waiting.
pub fn refuse(stream: &UnixStream, why: &str) {
    let mut out = Vec::new();
    frame::write(&ToTenant::Refused(why.to_owned()), &mut out);
    let _ = stream.try_write(&out);
}
