//! Preloaded into every GPU process.
//!
//! Reading order, by the way of a call: `symbols` (the C functions under NVIDIA's names), `dispatch` (asks a handler,
//! calls the driver), `calls` (a handler for each kind of call), `gate` (holds submissions up), `memory` (the
//! application's memory: what there is, how it moves and is shared). Then `driver` (the driver's functions, and what we
//! keep of its objects), `process` (all that we keep), `start` (puts it together), `agent` (serves the scheduler),
//! `transport` (the connection), `admission`, `limits` and `settings`, `bypass` (calls that do not reach us),
//! `sys` (what the system gives us), `statics` (every static, and what a fork does to it).
//!
//! ```text
//!  application        cuLaunchKernel(..)                     scheduler
//!      |                                                         ^
//!  symbols::exports   one C function for each row of the table   | socket
//!      |                                                         v
//!  dispatch::call ---> calls::launch   what becomes of it     transport   two threads, a table of descriptors of their own
//!      |                 |       |                               ^
//!      |               gate    memory  <---- moves ----------  agent      one thread: lease, gate, memory, reports
//!      |                 ^----------- opens and shuts -----------|
//!      v
//!  the driver         called at most once, by dispatch
//! ```
//!
//! A process that never initialises CUDA pays for the loading of this library, for one `fstat` (`sys::stderr`), and for
//! nothing else: there is no thread and no allocation before `cuInit` has succeeded, unless it calls `dlmopen`.
mod admission;
mod agent;
mod bypass;
mod calls;
mod dispatch;
mod driver;
mod gate;
mod limits;
mod memory;
mod process;
mod refusals;
mod sanitizer;
mod settings;
mod start;
mod statics;
mod symbols;
mod sys;
mod transport;
