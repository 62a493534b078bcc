//! `GET /metrics`: a task for each connection. Number and time are bounded, so that a slow, silent or wrong client harms only
//! its own connection.
use super::exposition::CONTENT_TYPE;
use super::listen::Listener;
use crate::tenants::accept::BACK_OFF;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE as HEADER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// A client's request for the text, on its way to the loop.
pub type Scrape = oneshot::Sender<Arc<str>>;

/// Clients at a time. The oldest gives way to the next one.
const CONNECTIONS: usize = 128;
/// How long a client may take to send its request.
const ASKING: Duration = Duration::from_secs(1);
/// How long a connection may last: request, answer and reading.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves `listener` for ever.
pub async fn serve(listener: Listener, scrape: mpsc::Sender<Scrape>) {
    let mut clients = VecDeque::new();
    loop {
        let connection = match listener.accept().await {
            Ok(stream) => converse(stream, scrape.clone()),
            Err(error) => {
                tracing::debug!("a connection for metrics cannot be accepted yet: {error}");
                tokio::time::sleep(BACK_OFF).await;
                continue;
            }
        };
        make_room(&mut clients);
        // The client knows what went wrong.
        let client = tokio::spawn(async move { drop(tokio::time::timeout(PATIENCE, connection).await) });
        clients.push_back(client.abort_handle());
    }
}

/// Nobody who comes to ask waits for those who came before.
fn make_room(clients: &mut VecDeque<AbortHandle>) {
    clients.retain(|client| !client.is_finished());
    while clients.len() >= CONNECTIONS {
        clients.pop_front().inspect(AbortHandle::abort);
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, scrape: mpsc::Sender<Scrape>) {
    let service = service_fn(|request| answer(request, scrape.clone()));
    let server = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING)
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = server {
        tracing::debug!("a connection for metrics ended: {error}");
    }
}

async fn answer(
    request: Request<Incoming>,
    scrape: mpsc::Sender<Scrape>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return Ok(plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let (send, text) = oneshot::channel();
    let sent = scrape.send(send).await;
    Ok(match (sent, text.await) {
        (Ok(()), Ok(text)) => {
            let mut response = Response::new(Full::from(text.to_string()));
            response.headers_mut().insert(HEADER, hyper::header::HeaderValue::from_static(CONTENT_TYPE));
            response
        }
        _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the scheduler is stopping\n"),
    })
}
