//! Serves an operator that asks for events: one event a line, past ones first, until it closes the connection.
use super::write;
use crate::event_bus::{EventBus, is_wanted};
use nvshare_protocol::control::{AuditEvent, EventQuery, Reply};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, TryAcquireError};

/// Followers at a time: fewer than operators, so that others can still ask.
pub const FOLLOWERS: usize = 16;

/// Serves an operator that asks for events, until it has gone (none) or is told this and may ask on.
pub async fn serve(
    stream: &mut UnixStream,
    events: &EventBus,
    places: &Semaphore,
    query: &EventQuery,
) -> Option<Reply> {
    let _place = match places.try_acquire() {
        Ok(place) => place,
        Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
            let message = format!("{FOLLOWERS} operators follow already, the most that are allowed");
            return Some(Reply::Error { message });
        }
    };
    let (past, events) = events.subscribe_since(query.since);
    let (mut from, mut to) = stream.split();
    tokio::select! {
        () = closed(&mut from), if query.follow => None,
        ended = pass_on(past, events, &mut to, query) => ended,
    }
}

/// Discards what a follower sends, until it closes the connection.
async fn closed(from: &mut ReadHalf<'_>) {
    let mut bytes = [0; 256];
    while matches!(from.read(&mut bytes).await, Ok(1..)) {}
}

/// Until the follower reads nothing for too long.
async fn pass_on(
    past: Vec<Arc<AuditEvent>>,
    mut events: Receiver<Arc<AuditEvent>>,
    to: &mut WriteHalf<'_>,
    query: &EventQuery,
) -> Option<Reply> {
    let word = if query.follow { "following" } else { "past events" };
    let mut reply = Reply::Done { message: word.into() };
    for event in past.into_iter().filter(|event| is_wanted(event, query)) {
        if !write(to, &reply).await {
            return None;
        }
        reply = Reply::Event(Arc::unwrap_or_clone(event));
    }
    if !query.follow {
        let end = Reply::Done { message: "no more".into() };
        return if write(to, &reply).await { Some(end) } else { None };
    }
    let mut is_new = true;
    while !is_new || write(to, &reply).await {
        reply = match events.recv().await {
            Ok(event) => Reply::Event(Arc::unwrap_or_clone(event)),
            Err(RecvError::Lagged(missed)) => Reply::Event(AuditEvent {
                kind: "missed".into(),
                text: Some(format!("{missed} events, because they were not read in time")),
                ..AuditEvent::default()
            }),
            Err(RecvError::Closed) => return None,
        };
        is_new = matches!(&reply, Reply::Event(event) if is_wanted(event, query));
    }
    None
}
