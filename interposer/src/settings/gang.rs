//! Which job of several processes this process is of. Their launchers say it to each of them by environment variables.

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// What the process's user says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GangChoice {
    /// What the launcher says.
    Auto,
    /// It is of none.
    Off,
    Named(String),
}

impl GangChoice {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "off" => Some(Self::Off),
            name => is_name(name).then(|| Self::Named(name.to_owned())),
        }
    }

    pub fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Off => "off".to_owned(),
            Self::Named(name) => name.clone(),
        }
    }
}

/// What can be shown to people, and is short.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The name of the job; none: it is of none.
pub fn name(choice: &GangChoice, get: impl Fn(&str) -> Option<String>) -> Option<String> {
    match choice {
        GangChoice::Off => None,
        GangChoice::Named(name) => Some(name.clone()),
        GangChoice::Auto => of_launcher(get).filter(|name| is_name(name)),
    }
}

/// By the variables of torchrun and whoever has a rendezvous as PyTorch does, Open MPI, Slurm, and MPICH and those that
/// come from it. Launchers start each other (srun starts torchrun): the innermost one knows the processes that wait for
/// each other.
fn of_launcher(get: impl Fn(&str) -> Option<String>) -> Option<String> {
    let get = |name: &str| get(name).filter(|value| !value.is_empty());
    let several =
        |size: &str| get(size).and_then(|size| size.parse::<u64>().ok()).is_none_or(|size| size > 1);
    let told_several = |size: &str| get(size).is_some() && several(size);
    if let (Some(address), Some(port)) = (get("MASTER_ADDR"), get("MASTER_PORT"))
        && several("WORLD_SIZE")
    {
        return Some(format!("torch:{address}:{port}"));
    }
    if told_several("OMPI_COMM_WORLD_SIZE") {
        let job = get("PMIX_NAMESPACE").or_else(|| get("OMPI_MCA_ess_base_jobid"))?;
        return Some(format!("ompi:{job}"));
    }
    if told_several("SLURM_STEP_NUM_TASKS") || told_several("SLURM_NTASKS") && get("SLURM_PROCID").is_some() {
        let (job, step) = (get("SLURM_JOB_ID")?, get("SLURM_STEP_ID")?);
        return Some(format!("slurm:{job}.{step}"));
    }
    if told_several("PMI_SIZE") {
        // Hydra names no job: all ranks of a host have one parent.
        return Some(format!("pmi:{}", std::os::unix::process::parent_id()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&str, &str)]) -> Option<String> {
        of_launcher(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn launchers_name_the_job() {
        let torch = [("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")];
        assert_eq!(told(&torch).as_deref(), Some("torch:127.0.0.1:29500"));
        let with = |more: &[(&'static str, &'static str)]| told(&[&torch[..], more].concat());
        assert_eq!(with(&[("WORLD_SIZE", "2")]).as_deref(), Some("torch:127.0.0.1:29500"));
        assert_eq!(with(&[("WORLD_SIZE", "1")]), None, "a job of one");
        let ompi = [("OMPI_COMM_WORLD_SIZE", "2"), ("PMIX_NAMESPACE", "prterun-host-1@1")];
        assert_eq!(told(&ompi).as_deref(), Some("ompi:prterun-host-1@1"));
        let slurm =
            [("SLURM_JOB_ID", "7"), ("SLURM_STEP_ID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_PROCID", "1")];
        assert_eq!(told(&slurm).as_deref(), Some("slurm:7.0"));
        assert_eq!(told(&slurm[..2]), None, "the batch script itself");
        assert!(told(&[("PMI_SIZE", "2"), ("PMI_RANK", "0")]).unwrap().starts_with("pmi:"));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn the_users_word_comes_before_the_launchers() {
        let get = |name: &str| (name.starts_with("MASTER_")).then(|| "1".to_owned());
        assert_eq!(name(&GangChoice::Auto, get).as_deref(), Some("torch:1:1"));
        assert_eq!(name(&GangChoice::Off, get), None);
        assert_eq!(name(&GangChoice::parse("mine").unwrap(), get).as_deref(), Some("mine"));
        for wrong in ["two words", "\u{1b}[2J", &"x".repeat(129)] {
            assert_eq!(GangChoice::parse(wrong), None, "{wrong:?}");
        }
    }
}
