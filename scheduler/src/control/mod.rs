//! The operators' socket: one JSON object a line, a request and its reply in turn.
use crate::tenants::accept::BACK_OFF;
use nvshare_protocol::control::{Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// One request on its way to the loop.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    pub answer: oneshot::Sender<Reply>,
}

/// The longest request, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// Operators at a time.
const CONNECTIONS: usize = 32;
/// How long one may take to ask, or to read the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves `listener` for ever.
pub async fn serve(listener: UnixListener, ask: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let ask = ask.clone();
                tokio::spawn(async move {
                    converse(stream, ask).await;
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
async fn converse(mut stream: UnixStream, ask: mpsc::Sender<Asked>) {
    let mut bytes = Vec::new();
    loop {
        let (reply, last) = match tokio::time::timeout(PATIENCE, line(&mut stream, &mut bytes)).await {
            Ok(Line::Whole(text)) => (reply(&text, &ask).await, false),
            Ok(Line::TooLong) => {
                (error(format!("a request is longer than {MAX_LINE} bytes, the most that is allowed")), true)
            }
            Ok(Line::End) | Err(_) => return,
        };
        let Ok(mut text) = serde_json::to_vec(&reply) else { return };
        text.push(b'\n');
        let written = tokio::time::timeout(PATIENCE, stream.write_all(&text)).await;
        if last || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

async fn reply(line: &[u8], ask: &mpsc::Sender<Asked>) -> Reply {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(why) => return error(format!("this is no request: {why}")),
    };
    let (answer, answered) = oneshot::channel();
    let sent = ask.send(Asked { request, answer }).await;
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
