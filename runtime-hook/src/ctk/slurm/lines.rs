//! The lines that Slurm's administrator adds: what is in their files is theirs.

use super::files::{Paths, value};
use nvshare_protocol::job_rules::mem_per_shard;
use std::fmt::Write;
use std::process::{Command, Stdio};

/// A GPU of this machine.
struct Gpus {
    count: u32,
    /// MiB of the smallest; none: nobody tells.
    memory: Option<u64>,
}

/// What to add to which file, as far as this machine tells.
pub fn advice(paths: &Paths, per_shard: &str) -> String {
    let gpus = gpus();
    let each = mem_per_shard(per_shard).flatten().map(|size| size.0 >> 20);
    let shards = gpus.memory.zip(each).map(|(memory, each)| memory / each * u64::from(gpus.count));
    let shards = shards.map_or_else(|| "SHARDS".to_owned(), |shards| shards.to_string());
    let files = match gpus.count {
        0 | 1 => "/dev/nvidia0".to_owned(),
        count => format!("/dev/nvidia[0-{}]", count - 1),
    };
    let count = gpus.count.max(1);
    let slurm = std::fs::read_to_string(&paths.slurm).unwrap_or_default();
    let mut text = format!(
        "# {}\nName=gpu File={files}\nName=shard Count={shards}\n\n# {}\nConstrainDevices=yes\n\n# {}\n",
        paths.gres.display(),
        paths.cgroup.display(),
        paths.slurm.display()
    );
    for (key, line) in [
        ("GresTypes", "gpu,shard"),
        ("SelectType", "select/cons_tres"),
        ("ProctrackType", "proctrack/cgroup"),
        ("TaskPlugin", "task/cgroup"),
    ] {
        let has = value(&slurm, key)
            .is_some_and(|has| line.split(',').all(|word| has.split(',').any(|one| one == word)));
        let _ = writeln!(text, "{key}={line}{}", if has { "   # is there" } else { "" });
    }
    let _ = writeln!(
        text,
        "NodeName=...   Gres=gpu:{count},shard:{shards}   # in each line of a node with these GPUs"
    );
    if shards == "SHARDS" {
        text += "# SHARDS: of all GPUs of the node together, as many as --mem-per-shard goes into their memory.\n";
    }
    text + "# Then: scontrol reconfigure, or restart slurmctld and slurmd where GresTypes is new.\n"
}

fn gpus() -> Gpus {
    let is_gpu = |name: &str| name.strip_prefix("nvidia").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let nodes = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let count = nodes.filter(|entry| entry.file_name().to_str().is_some_and(is_gpu)).count() as u32;
    let said = Command::new("nvidia-smi")
        .args(["--query-gpu=memory.total", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .output();
    let said = said.ok().filter(|output| output.status.success());
    let memory = said.and_then(|output| {
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()).min()
    });
    Gpus { count, memory }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_said_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("slurm.conf"), "GresTypes=shard,gpu\nSelectType=select/linear\n")
            .unwrap();
        let text = advice(&Paths::of(dir.path()), "1024");
        assert!(text.contains("GresTypes=gpu,shard   # is there\nSelectType=select/cons_tres\n"), "{text}");
        assert!(text.contains("Name=shard Count=") && text.contains("ConstrainDevices=yes"), "{text}");
    }
}
