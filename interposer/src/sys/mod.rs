//! What the operating system and the standard library give us, in the form that a guest in another program needs: nothing
//! here knows of CUDA or of the scheduler.
pub mod sync;
