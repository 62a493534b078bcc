//! Where metrics are served.
use crate::sockets;
use anyhow::{Context, Result};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// An address of TCP, or the path of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// `127.0.0.1:9835`, `[::1]:9835`, or an absolute path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A longer path does not fit into a socket's address.
        let is_path = text.starts_with('/') && !text.contains('\0') && text.len() < 108;
        if is_path { Some(Self::Unix(text.into())) } else { text.parse().ok().map(Self::Tcp) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Either, open.
pub enum Listener {
    Tcp(TcpListener),
    /// With what keeps its file.
    Unix(UnixListener, sockets::SocketFile),
}

/// A client's connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    /// Opens the address. A socket of the file system is for root, the daemon's user and `group`.
    ///
    /// # Errors
    /// Where it cannot be opened, with the setting's name.
    pub fn open(address: &Address, group: Option<&str>) -> Result<Self> {
        let setting = || format!("[metrics] listen = \"{address}\" cannot be opened");
        match address {
            Address::Tcp(tcp) => {
                let listener = std::net::TcpListener::bind(tcp).with_context(setting)?;
                listener.set_nonblocking(true).with_context(setting)?;
                let listener = TcpListener::from_std(listener).with_context(setting)?;
                let open = listener.local_addr().with_context(setting)?;
                tracing::info!("metrics are at http://{open}/metrics");
                if !open.ip().is_loopback() {
                    tracing::warn!("metrics are open to the network: [metrics] listen = \"{address}\"");
                }
                Ok(Self::Tcp(listener))
            }
            Address::Unix(path) => {
                let open = sockets::shared(path, group).with_context(setting)?;
                let sockets::Listening { listener, file } = open;
                let listener = UnixListener::from_std(listener).with_context(setting)?;
                tracing::info!("metrics are at {}", path.display());
                Ok(Self::Unix(listener, file))
            }
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// Where there are no more file descriptors, for instance.
    pub async fn accept(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_tcp_or_a_path() {
        for text in ["127.0.0.1:9835", "[::1]:9835", "0.0.0.0:80", "/run/nvshare/metrics.sock"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        let long = format!("/{}", "x".repeat(107));
        for text in ["9835", ":9835", "localhost:9835", "metrics.sock", "127.0.0.1", &long] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
