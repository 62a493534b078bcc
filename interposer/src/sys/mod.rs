//! What the operating system and the standard library give us, in the form that a guest in another program needs: nothing
//! here calls the driver or speaks with the scheduler.
pub mod clock;
pub mod detached;
#[cfg(debug_assertions)]
pub mod fault;
pub mod fd_table;
pub mod guarded_fd;
pub mod lock;
pub mod log;
pub mod random;
pub mod scm_rights;
pub mod stderr;
pub mod sync;
pub mod syscall;
pub mod thread;
pub mod waker;
