//! What processes give each other by handles: memory that was allocated plainly, and when an event has happened.
use crate::sim::alloc::map_file;
use crate::sim::ledger::Kind;
use crate::sim::physical;
use crate::sim::process::Process;
use nvshare_abi::CUresult;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU64;

/// A word that several processes see.
pub type Word = &'static AtomicU64;

const MARK: u64 = 0x6661_6b65_2069_7063;

/// What a handle of 64 bytes holds: a descriptor of another process.
#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
pub struct Ticket {
    mark: u64,
    pid: u32,
    fd: i32,
    bytes: u64,
    unused: [u64; 5],
}

impl Ticket {
    fn of(file: &File, bytes: u64) -> Self {
        Self { mark: MARK, pid: std::process::id(), fd: file.as_raw_fd(), bytes, unused: [0; 5] }
    }

    fn open(&self) -> Result<File, CUresult> {
        let path = format!("/proc/{}/fd/{}", self.pid, self.fd);
        let file = (self.mark == MARK).then(|| OpenOptions::new().read(true).write(true).open(path));
        file.and_then(Result::ok).ok_or(CUresult::ERROR_INVALID_VALUE)
    }
}

/// Another process's memory that is open in a context.
pub struct Open {
    ticket: Ticket,
    context: usize,
    start: u64,
    users: u32,
}

/// A new word, zero, and the file that it lies in.
///
/// # Errors
/// `OUT_OF_MEMORY` when this host has no more.
pub fn word() -> Result<(Word, File), CUresult> {
    let file = physical::sparse(4096)?;
    see(&file).map(|word| (word, file))
}

fn see(file: &File) -> Result<Word, CUresult> {
    let at = map_file(4096, Some((file.as_fd(), 0)))?;
    // SAFETY: a page of a file that is never shortened, mapped for good; zeroes are a valid value.
    Ok(unsafe { &*(at as *const AtomicU64) })
}

impl Process {
    /// `cuIpcGetMemHandle`: from now on the allocation lies in a file, at the same address.
    pub fn share(&self, start: u64) -> Result<Ticket, CUresult> {
        let _layout = self.layout_for_change();
        let mut inner = self.inner();
        let found = inner.memory.at_start(start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if !matches!(found.kind, Kind::Plain { .. }) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        if let Some(file) = &found.shared {
            return Ok(Ticket::of(file, found.bytes));
        }
        let file = physical::sparse(found.bytes.next_multiple_of(4096))?;
        // SAFETY: the allocation's own memory, to which no work is done while the layout is locked.
        let old = unsafe { std::slice::from_raw_parts(start as *const u8, found.bytes as usize) };
        file.write_all_at(old, 0).map_err(|_| CUresult::ERROR_OUT_OF_MEMORY)?;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        let at = start as *mut libc::c_void;
        // SAFETY: in the place of the allocation's old memory, whose bytes the file has.
        let got = unsafe { libc::mmap(at, found.bytes as usize, access, flags, file.as_raw_fd(), 0) };
        if got == libc::MAP_FAILED {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        let ticket = Ticket::of(&file, found.bytes);
        found.shared = Some(file);
        Ok(ticket)
    }

    /// `cuIpcOpenMemHandle`: one user more where the context has it open already.
    pub fn open_shared(&self, ticket: Ticket) -> Result<u64, CUresult> {
        let (context, _) = self.context()?;
        if ticket.pid == std::process::id() {
            return Err(CUresult::ERROR_INVALID_CONTEXT);
        }
        let mut inner = self.inner();
        let known = |open: &&mut Open| open.ticket == ticket && open.context == context;
        if let Some(open) = inner.memory.opened.iter_mut().find(known) {
            open.users += 1;
            return Ok(open.start);
        }
        let start = map_file(ticket.bytes, Some((ticket.open()?.as_fd(), 0)))?;
        inner.memory.insert(start, ticket.bytes, Kind::Imported, context);
        inner.memory.opened.push(Open { ticket, context, start, users: 1 });
        Ok(start)
    }

    /// `cuIpcCloseMemHandle`: the memory goes with its last user, when the work that uses it has ended.
    pub fn close_shared(&self, start: u64) -> Result<(), CUresult> {
        let (context, users) = {
            let mut inner = self.inner();
            let open = inner.memory.opened.iter_mut().find(|open| open.start == start);
            let open = open.ok_or(CUresult::ERROR_INVALID_VALUE)?;
            open.users -= 1;
            (open.context, open.users)
        };
        if users > 0 {
            return Ok(());
        }
        self.synchronize(context)?;
        self.inner().memory.opened.retain(|open| open.start != start);
        self.free(start)
    }

    /// `cuIpcGetEventHandle`.
    pub fn share_event(&self, event: usize) -> Result<Ticket, CUresult> {
        let mut inner = self.inner();
        let event = inner.streams.events.get_mut(&event).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        if !event.interprocess {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        if event.word.is_none() {
            event.word = Some(word()?);
        }
        event.word.as_ref().map(|(_, file)| Ticket::of(file, 4096)).ok_or(CUresult::ERROR_INVALID_HANDLE)
    }

    /// `cuIpcOpenEventHandle`.
    pub fn open_event(&self, ticket: Ticket) -> Result<usize, CUresult> {
        let file = ticket.open()?;
        let word = see(&file)?;
        let mut inner = self.inner();
        let handle = inner.handle();
        inner.streams.events.insert(handle, crate::sim::stream::Event::foreign(word, file));
        Ok(handle)
    }
}
