//! The operators' socket: one JSON object a line, a request and its reply in turn.
mod follow;

use crate::tenants::accept::BACK_OFF;
use crate::tenants::shared::Shared;
use crate::text::clean;
use follow::FOLLOWERS;
use nix::unistd::{Uid, User};
use nvshare_protocol::control::{EventQuery, Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// One request on its way to the loop.
#[derive(Debug)]
pub struct OperatorQuery {
    pub request: Request,
    /// Who asks: `root (uid 0)`.
    pub by: String,
    pub reply: oneshot::Sender<Reply>,
}

/// The longest request, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// Operators at a time.
const CONNECTIONS: usize = 32;
/// How long the name of one is looked for.
const NAMED_WITHIN: Duration = Duration::from_secs(1);
/// How long one may take to ask, or to read the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection needs of the daemon.
#[derive(Clone)]
struct Ends {
    ask: mpsc::Sender<OperatorQuery>,
    shared: Arc<Shared>,
    followers: Arc<Semaphore>,
}

/// Serves `listener` for ever.
pub async fn serve(listener: UnixListener, ask: mpsc::Sender<OperatorQuery>, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let ends = Ends { ask, shared, followers: Arc::new(Semaphore::new(FOLLOWERS)) };
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let ends = ends.clone();
                tokio::spawn(async move {
                    converse(stream, &ends).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("an operator's connection cannot be accepted yet: {error}");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Ends with the peer, at its first line that is too long, or when it takes too long.
async fn converse(mut stream: UnixStream, ends: &Ends) {
    let by = name_of_peer(&stream).await;
    let mut bytes = Vec::new();
    loop {
        let (reply, last) = match tokio::time::timeout(PATIENCE, line(&mut stream, &mut bytes)).await {
            Ok(Line::Whole(text)) => match serde_json::from_slice(&text) {
                Ok(request @ (Request::Events | Request::EventsSince(_))) => {
                    let query = match request {
                        Request::EventsSince(query) => query,
                        _ => EventQuery { follow: true, ..EventQuery::default() },
                    };
                    let events = &ends.shared.events;
                    let told = follow::serve(&mut stream, events, &ends.followers, &query).await;
                    let Some(told) = told else { return };
                    (told, false)
                }
                Ok(request) => (reply(request, by.clone(), &ends.ask).await, false),
                Err(why) => (error(format!("this is no request: {why}")), false),
            },
            Ok(Line::TooLong) => {
                (error(format!("a request is longer than {MAX_LINE} bytes, the most that is allowed")), true)
            }
            Ok(Line::End) | Err(_) => return,
        };
        if !write(&mut stream, &reply).await || last {
            return;
        }
    }
}

/// Whether the peer has read it in time.
async fn write(to: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> bool {
    let Ok(mut text) = serde_json::to_vec(reply) else { return false };
    text.push(b'\n');
    matches!(tokio::time::timeout(PATIENCE, to.write_all(&text)).await, Ok(Ok(())))
}

/// Who is at the other end, by the kernel and the host's list of users.
async fn name_of_peer(stream: &UnixStream) -> String {
    let Ok(peer) = stream.peer_cred() else { return "somebody".into() };
    let uid = peer.uid();
    // The list of users may be behind a network.
    let user = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)).ok().flatten());
    match tokio::time::timeout(NAMED_WITHIN, user).await {
        Ok(Ok(Some(user))) => format!("{} (uid {uid})", clean(&user.name, 64)),
        _ => format!("uid {uid}"),
    }
}

async fn reply(request: Request, by: String, ask: &mpsc::Sender<OperatorQuery>) -> Reply {
    let (answer, answered) = oneshot::channel();
    let sent = ask.send(OperatorQuery { request, by, reply: answer }).await;
    match (sent, answered.await) {
        (Ok(()), Ok(reply)) => reply,
        _ => error("the scheduler is stopping".into()),
    }
}

fn error(message: String) -> Reply {
    Reply::Error { message }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// The next line of `stream`, without its end; what came after it stays in `bytes`.
async fn line(stream: &mut UnixStream, bytes: &mut Vec<u8>) -> Line {
    let mut searched = 0;
    loop {
        if let Some(end) = bytes[searched..].iter().position(|&byte| byte == b'\n') {
            let rest = bytes.split_off(searched + end + 1);
            let mut whole = std::mem::replace(bytes, rest);
            whole.pop();
            return if whole.len() > MAX_LINE { Line::TooLong } else { Line::Whole(whole) };
        }
        searched = bytes.len();
        if searched > MAX_LINE {
            return Line::TooLong;
        }
        match stream.read_buf(bytes).await {
            Ok(0) | Err(_) => return Line::End,
            Ok(_) => {}
        }
    }
}
