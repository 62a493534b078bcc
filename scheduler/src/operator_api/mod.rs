//! The operators' socket: one JSON object a line, a request and its reply in turn.
mod follow;
mod users;

use crate::tenants::accept::BACK_OFF;
use crate::tenants::shared::Shared;
use crate::text::clean;
use follow::FOLLOWERS;
use nix::unistd::{Uid, User};
use nvshare_protocol::control::{EVENT_KINDS, EventQuery, Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use users::{Full, Place, Users};

/// One request on its way to the loop.
#[derive(Debug)]
pub struct OperatorQuery {
    pub request: Request,
    pub viewer: Viewer,
    pub reply: oneshot::Sender<Reply>,
}

/// The longest request, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// Operators at a time.
const CONNECTIONS: usize = 32;
/// Connections of one user at a time, to everybody's socket.
const USER_CONNECTIONS: usize = 4;
/// How often a user may ask on all of them, in a second.
const USER_REQUESTS: u64 = 4;
/// How often a user may connect, in a second.
const USER_CONNECTS: u64 = 20;
/// After a connection that is refused, nobody is accepted at everybody's socket for so long: whoever connects without end
/// costs five hundred refusals a second, and no more.
const FLOOD_PAUSE: Duration = Duration::from_millis(2);
/// How long one of them who asks more often waits to be told so.
const USER_PAUSE: Duration = Duration::from_millis(250);
/// How long the name of one is looked for.
const NAMED_WITHIN: Duration = Duration::from_secs(1);
/// How long one may take to ask, or to read the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which socket it is, and so what its peers may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Operators,
    /// See everything, set nothing.
    Readers,
    /// See their own tenants.
    Users,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub access: Access,
    /// The kernel's word.
    pub uid: u32,
    /// For the log: `root (uid 0)`.
    pub name: String,
}

impl Viewer {
    /// Whether this may be asked.
    #[must_use]
    pub fn may(&self, request: &Request) -> bool {
        match self.access {
            Access::Operators => true,
            Access::Readers => matches!(
                request,
                Request::Status
                    | Request::Trace
                    | Request::Events
                    | Request::EventsSince(_)
                    | Request::Report(_)
            ),
            Access::Users => matches!(request, Request::Status | Request::Report(_)),
        }
    }

    /// The user whose tenants alone are shown; none: everybody's are.
    #[must_use]
    pub fn sees_only(&self) -> Option<u32> {
        // Root sees all processes anyway.
        (self.access == Access::Users && self.uid != 0).then_some(self.uid)
    }
}

/// What a connection needs of the daemon.
#[derive(Clone)]
struct Ends {
    ask: mpsc::Sender<OperatorQuery>,
    shared: Arc<Shared>,
    followers: Arc<Semaphore>,
    access: Access,
    users: Users,
}

/// Serves `listener` for ever.
pub async fn serve(
    listener: UnixListener,
    access: Access,
    ask: mpsc::Sender<OperatorQuery>,
    shared: Arc<Shared>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let followers = Arc::new(Semaphore::new(FOLLOWERS));
    let ends = Ends { ask, shared, followers, access, users: Users::default() };
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => match admit(&stream, &ends) {
                Ok(admitted) => {
                    let ends = ends.clone();
                    tokio::spawn(async move {
                        serve_peer(stream, &ends, admitted).await;
                        drop(place);
                    });
                }
                Err(refused) => {
                    refuse(&stream, refused);
                    drop((stream, place));
                    tokio::time::sleep(FLOOD_PAUSE).await;
                }
            },
            Err(error) => {
                tracing::debug!("an operator's connection cannot be accepted yet: {error}");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// A peer that is served: its uid, and its place at everybody's socket.
struct Admitted {
    uid: u32,
    place: Option<Place>,
}

/// A peer without credentials is none, and is told nothing.
fn admit(stream: &UnixStream, ends: &Ends) -> Result<Admitted, Option<Full>> {
    let uid = stream.peer_cred().map_err(|_| None)?.uid();
    if ends.access != Access::Users {
        return Ok(Admitted { uid, place: None });
    }
    // Else a user's subordinate uids would take the places of all others.
    let user = ends.shared.host.subordinates.user(uid);
    let place = ends.users.enter(user, ends.shared.clock.now())?;
    Ok(Admitted { uid, place: Some(place) })
}

/// Tells the peer why, if its socket takes it at once.
fn refuse(stream: &UnixStream, why: Option<Full>) {
    let text = why.and_then(|full| serde_json::to_vec(&error(full.to_string())).ok());
    if let Some(mut text) = text {
        text.push(b'\n');
        // A peer that has gone misses nothing.
        let _ = stream.try_write(&text);
    }
}

async fn serve_peer(stream: UnixStream, ends: &Ends, Admitted { uid, place }: Admitted) {
    // Only operators change what is logged with a name.
    let name = match ends.access {
        Access::Operators => name_of(uid).await,
        Access::Readers | Access::Users => format!("uid {uid}"),
    };
    converse(stream, Viewer { access: ends.access, uid, name }, ends, place.as_ref()).await;
}

/// Ends with the peer, at its first line that is too long, or when it takes too long.
async fn converse(mut stream: UnixStream, viewer: Viewer, ends: &Ends, place: Option<&Place>) {
    let mut bytes = Vec::new();
    loop {
        let (reply, last) = match tokio::time::timeout(PATIENCE, line(&mut stream, &mut bytes)).await {
            // What is no request counts too, before it is read: that takes the loop's time as well.
            Ok(Line::Whole(_)) if place.is_some_and(|place| !place.may_ask(ends.shared.clock.now())) => {
                // Else it would be back at once.
                tokio::time::sleep(USER_PAUSE).await;
                (error(format!("a user asks {USER_REQUESTS} times a second at most")), true)
            }
            Ok(Line::Whole(text)) => match serde_json::from_slice(&text) {
                Ok(request) if !viewer.may(&request) => (error(refusal(viewer.access)), false),
                Ok(request @ (Request::Events | Request::EventsSince(_))) => {
                    let query = match request {
                        Request::EventsSince(query) => query,
                        _ => EventQuery { follow: true, ..EventQuery::default() },
                    };
                    let told = match unknown_kind(&query) {
                        Some(message) => Some(error(message)),
                        None => {
                            follow::serve(&mut stream, &ends.shared.events, &ends.followers, &query).await
                        }
                    };
                    let Some(told) = told else { return };
                    (told, false)
                }
                Ok(request) => (reply(request, viewer.clone(), &ends.ask).await, false),
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

/// Else somebody would wait for ever for what never happens.
fn unknown_kind(query: &EventQuery) -> Option<String> {
    let kind = query.kind.as_ref().filter(|kind| !EVENT_KINDS.contains(&&kind[..]))?;
    Some(format!("there are no events of kind {kind:?} (kinds: {})", EVENT_KINDS.join(", ")))
}

/// Whether the peer has read it in time.
async fn write(to: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> bool {
    let Ok(mut text) = serde_json::to_vec(reply) else { return false };
    text.push(b'\n');
    matches!(tokio::time::timeout(PATIENCE, to.write_all(&text)).await, Ok(Ok(())))
}

fn refusal(access: Access) -> String {
    match access {
        Access::Readers => "readers may set nothing: run nvsharectl as an operator".into(),
        _ => "users may see their own tenants, and what these have used, and nothing else: run nvsharectl as an operator"
            .into(),
    }
}

/// Who is at the other end, by the kernel and the host's list of users.
async fn name_of(uid: u32) -> String {
    // The list of users may be behind a network.
    let user = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)).ok().flatten());
    match tokio::time::timeout(NAMED_WITHIN, user).await {
        Ok(Ok(Some(user))) => format!("{} (uid {uid})", clean(&user.name, 64)),
        _ => format!("uid {uid}"),
    }
}

async fn reply(request: Request, viewer: Viewer, ask: &mpsc::Sender<OperatorQuery>) -> Reply {
    let (answer, answered) = oneshot::channel();
    let sent = ask.send(OperatorQuery { request, viewer, reply: answer }).await;
    match (sent, answered.await) {
        (Ok(()), Ok(reply)) => reply,
        // A report is made by a thread that may have too much to do.
        (Ok(()), Err(_)) => error("the scheduler cannot answer this now: try again".into()),
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
