//! Slurm's plugin (SPANK): a job that has shards of a GPU is managed by nvshare, any other is left alone.
//!
//! It is loaded by `srun`, `sbatch` and `salloc`, where it offers options, and by `slurmstepd`, where it runs as root:
//! there it adds the library to the step's environment and writes what the step may (`job_file`). Whatever goes wrong,
//! the step runs, unmanaged and with one line in Slurm's log, unless the site has said `on_error=fail`.
//!
//! What a job says is not believed: shards come from the variable that slurmstepd itself writes over the job's, options
//! are read by the rules of all programs, and what holds for the job is not in its environment.
//!
//! A panic never reaches Slurm: each function that it calls catches it (`entry`).

mod entry;
mod job_file;
mod options;
mod spank;
mod step;
