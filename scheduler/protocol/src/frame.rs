//! Turns bytes into messages and back. Pure: the caller has the socket.
use minicbor::{Decode, Encode};
use std::fmt;

/// The longest body that a peer may send, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
const HEADER: usize = 4;

/// One frame, taken from the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<M> {
    Message(M),
    /// A message of a newer version: skip it.
    Unknown,
}

/// Why the stream cannot be read on. The connection is lost; nothing else is.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// An announced length of 0 or beyond [`MAX_BODY`].
    Length(u32),
    /// A body that is not a message.
    Body(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a frame of {n} bytes (allowed: 1 to {MAX_BODY})"),
            Self::Body(why) => write!(f, "a frame that cannot be decoded: {why}"),
        }
    }
}
impl std::error::Error for Broken {}

/// `message` as a frame, appended to `out`.
///
/// # Panics
/// If the message is longer than [`MAX_BODY`]: our own messages are bounded by construction.
pub fn write<M: Encode<()>>(message: &M, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let Ok(()) = minicbor::encode(message, &mut *out) else { unreachable!("writing to a Vec cannot fail") };
    let body = out.len() - start - HEADER;
    assert!(body <= MAX_BODY, "message of {body} bytes");
    out[start..start + HEADER].copy_from_slice(&(body as u32).to_le_bytes());
}

/// The bytes received and not yet decoded. Never holds more than one frame and one read.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    taken: usize,
}

impl Reader {
    /// Adds what was read from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, or `None` until more is fed.
    ///
    /// # Errors
    /// [`Broken`], after which the stream is of no more use.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator has one type of item; this has the caller's"
    )]
    pub fn next<M: for<'b> Decode<'b, ()>>(&mut self) -> Result<Option<Received<M>>, Broken> {
        let rest = &self.bytes[self.taken..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header);
        let size = length as usize;
        if size == 0 || size > MAX_BODY {
            return Err(Broken::Length(length));
        }
        let Some(body) = rest.get(..size) else { return Ok(None) };
        self.taken += HEADER + size;
        let mut decoder = minicbor::Decoder::new(body);
        match decoder.decode() {
            Ok(message) if decoder.position() == size => Ok(Some(Received::Message(message))),
            Ok(_) => Err(Broken::Body(format!("{} bytes after its end", size - decoder.position()))),
            Err(error) if error.is_unknown_variant() => Ok(Some(Received::Unknown)),
            Err(error) => Err(Broken::Body(error.to_string())),
        }
    }

    /// The bytes of memory that this reader occupies for what it was fed.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.taken < self.bytes.len()
    }
}
