//! Preloaded into every GPU process. Reading order: `entry` (what), `real` (where the driver is),
//! `exports` (the C face), `gate` (the way in), `policy` (what each kind of call means), `process` (what
//! we keep), `place` (whether there is one for us), `agent` (who decides with the scheduler), `transport` (the
//! connection), `memory` (the application's memory: what there is, how it moves and is shared), `find` (dlsym), `open` (dlopen,
//! dlmopen), `loaded` (where glibc's are), `elsewhere` (a driver that is not ours).
//!
//! A process that never initialises CUDA pays for the loading of this library and nothing else: there is
//! no constructor, no thread and no allocation before `cuInit` has succeeded, unless it calls `dlmopen`.
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
mod sanitizer;
mod settings;
mod start;
mod symbols;
mod sys;
mod transport;
