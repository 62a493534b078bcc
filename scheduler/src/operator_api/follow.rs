//! Serves an operator that follows the events: one event a line, until it closes the connection.
use super::write;
use crate::event_bus::EventBus;
use nvshare_protocol::control::{AuditEvent, Reply};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, TryAcquireError};

/// Followers at a time: fewer than operators, so that others can still ask.
pub const FOLLOWERS: usize = 16;

/// Serves a follower to its end, or says why it cannot follow.
pub async fn serve(stream: &mut UnixStream, events: &EventBus, places: &Semaphore) -> Option<Reply> {
    let _place = match places.try_acquire() {
        Ok(place) => place,
        Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
            let message = format!("{FOLLOWERS} operators follow already, the most that are allowed");
            return Some(Reply::Error { message });
        }
    };
    let events = events.subscribe();
    let (mut from, mut to) = stream.split();
    tokio::select! {
        () = closed(&mut from) => {}
        () = pass_on(events, &mut to) => {}
    }
    None
}

/// Discards what a follower sends, until it closes the connection.
async fn closed(from: &mut ReadHalf<'_>) {
    let mut bytes = [0; 256];
    while matches!(from.read(&mut bytes).await, Ok(1..)) {}
}

/// Until the follower reads nothing for too long.
async fn pass_on(mut events: Receiver<Arc<AuditEvent>>, to: &mut WriteHalf<'_>) {
    let mut reply = Reply::Done { message: "following".into() };
    while write(to, &reply).await {
        reply = match events.recv().await {
            Ok(event) => Reply::Event(Arc::unwrap_or_clone(event)),
            Err(RecvError::Lagged(missed)) => Reply::Event(AuditEvent {
                kind: "missed".into(),
                text: Some(format!("{missed} events, because they were not read in time")),
                ..AuditEvent::default()
            }),
            Err(RecvError::Closed) => return,
        };
    }
}
