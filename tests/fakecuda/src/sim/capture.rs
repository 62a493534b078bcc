//! Stream capture and graphs, as far as tests need them: a graph is its nodes in the order of submission.
use crate::sim::process::{Inner, Process};
use crate::sim::stream::{Default, Key};
use crate::sim::work::Work;
use nvshare_abi::{
    CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_RELAXED, CUresult, CUstreamCaptureMode,
};
use std::cell::Cell;
use std::collections::BTreeMap;

pub struct Capture {
    origin: Key,
    thread: std::thread::ThreadId,
    mode: CUstreamCaptureMode,
    nodes: Vec<Work>,
    invalid: bool,
}

#[derive(Default)]
pub struct Graphs {
    pub captures: BTreeMap<usize, Capture>,
    pub graphs: BTreeMap<usize, Nodes>,
    pub execs: BTreeMap<usize, Nodes>,
}

/// The nodes of a graph, each with its handle, in an order in which they may run.
pub type Nodes = Vec<(usize, Work)>;

thread_local! {
    /// How this thread wants to be guarded while something captures.
    static MODE: Cell<CUstreamCaptureMode> = const { Cell::new(CU_STREAM_CAPTURE_MODE_GLOBAL) };
}

/// `cuThreadExchangeStreamCaptureMode`.
pub fn exchange_mode(mode: CUstreamCaptureMode) -> CUstreamCaptureMode {
    MODE.replace(mode)
}

impl Inner {
    /// Whether a stream captures: the work is then a node, and nothing runs.
    pub fn captured(&mut self, key: Key, work: &Work) -> Result<bool, CUresult> {
        if let Key::Legacy(context) = key {
            // Work for the legacy stream would have to wait for a stream that only captures.
            let capturing = self.streams.all.values().filter(|s| s.context == context && s.blocking);
            let ids: Vec<_> = capturing.filter_map(|stream| stream.capture).collect();
            for id in &ids {
                self.invalidate(*id);
            }
            return if ids.is_empty() { Ok(false) } else { Err(CUresult::ERROR_STREAM_CAPTURE_IMPLICIT) };
        }
        let Some(id) = self.streams.all.get(&key).and_then(|stream| stream.capture) else { return Ok(false) };
        let capture = self.graphs.captures.get_mut(&id).expect("a stream captures into a live capture");
        if capture.invalid {
            return Err(CUresult::ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        capture.nodes.push(work.clone());
        Ok(true)
    }

    /// For calls that concern all streams of a context: an error beside a capture in any of them, and the end of that
    /// capture, whatever its mode and the thread's.
    pub fn disturb(&mut self, context: usize) -> Result<(), CUresult> {
        let of_it = self.streams.all.values().filter(|stream| stream.context == context);
        let ids: Vec<_> = of_it.filter_map(|stream| stream.capture).collect();
        ids.iter().for_each(|id| self.invalidate(*id));
        if ids.is_empty() { Ok(()) } else { Err(CUresult::ERROR_STREAM_CAPTURE_UNSUPPORTED) }
    }

    pub fn invalidate(&mut self, id: usize) {
        if let Some(capture) = self.graphs.captures.get_mut(&id) {
            capture.invalid = true;
        }
    }

    /// Whether the stream's capture was invalidated; `None` where it captures nothing.
    pub fn capture_status(&self, key: Key) -> Option<bool> {
        let id = self.streams.all.get(&key)?.capture?;
        Some(self.graphs.captures[&id].invalid)
    }
}

impl Process {
    /// For calls that a capture prohibits: an error, and the end of the captures concerned.
    pub fn prohibited(&self) -> Result<(), CUresult> {
        let mode = MODE.get();
        if mode == CU_STREAM_CAPTURE_MODE_RELAXED {
            return Ok(());
        }
        let here = std::thread::current().id();
        let mut inner = self.inner();
        let concerned = |capture: &Capture| {
            let own = capture.thread == here && capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED;
            let global = capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
            own || (global && mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
        };
        let mut any = false;
        for capture in inner.graphs.captures.values_mut().filter(|capture| concerned(capture)) {
            capture.invalid = true;
            any = true;
        }
        if any { Err(CUresult::ERROR_STREAM_CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }

    pub fn begin_capture(
        &self,
        handle: usize,
        on: Default,
        mode: CUstreamCaptureMode,
    ) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let key = inner.stream(handle, on)?;
        if matches!(key, Key::Legacy(_)) {
            return Err(CUresult::ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        if inner.capture_status(key).is_some() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let id = inner.handle();
        let thread = std::thread::current().id();
        let capture = Capture { origin: key, thread, mode, nodes: Vec::new(), invalid: false };
        inner.graphs.captures.insert(id, capture);
        inner.streams.all.get_mut(&key).expect("looked up above").capture = Some(id);
        Ok(())
    }

    /// Ends a capture; the handle of its graph.
    pub fn end_capture(&self, handle: usize, on: Default) -> Result<usize, CUresult> {
        let mut inner = self.inner();
        let key = inner.stream(handle, on)?;
        let id = inner.streams.all[&key].capture.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let capture = &inner.graphs.captures[&id];
        if capture.origin != key {
            return Err(CUresult::ERROR_STREAM_CAPTURE_UNMATCHED);
        }
        let here = std::thread::current().id();
        if capture.thread != here && capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED {
            return Err(CUresult::ERROR_STREAM_CAPTURE_WRONG_THREAD);
        }
        for stream in inner.streams.all.values_mut().filter(|stream| stream.capture == Some(id)) {
            stream.capture = None;
        }
        let capture = inner.graphs.captures.remove(&id).expect("looked up above");
        if capture.invalid {
            return Err(CUresult::ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        let nodes = capture.nodes.into_iter().map(|work| (inner.handle(), work)).collect();
        let graph = inner.handle();
        inner.graphs.graphs.insert(graph, nodes);
        Ok(graph)
    }

    /// Submits all nodes of an instantiated graph.
    pub fn launch_graph(&self, exec: usize, handle: usize, on: Default) -> Result<(), CUresult> {
        let nodes = self.inner().graphs.execs.get(&exec).cloned().ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        for (_, work) in nodes {
            self.submit(handle, on, work)?;
        }
        Ok(())
    }
}
