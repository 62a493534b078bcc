//! What the pages of commands have beyond `--help`: columns, states and events from the operators' document, and examples.
use crate::text::{inlines, list, table};
use clap_mangen::roff::{Roff, bold, roman};

const OPERATING: &str = include_str!("../../docs/guide/operating.md");

/// For each page: what somebody wants, and what they type. Every command has one; a test reads them all.
pub const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "nvshare-scheduler",
        &[
            ("Check the settings, and see what is in force", "nvshare-scheduler --check"),
            ("A scheduler of one's own, without root", "nvshare-scheduler --runtime-dir ~/nvshare/run"),
            (
                "Record every decision, to show somebody what went wrong",
                "nvshare-scheduler --trace /tmp/nvshare.trace",
            ),
        ],
    ),
    (
        "nvsharectl",
        &[
            ("Who uses which GPU", "nvsharectl status"),
            ("The same every second", "nvsharectl top"),
            ("Turns of 5 s", "nvsharectl set tq 5"),
        ],
    ),
    (
        "nvsharectl-status",
        &[
            ("Who uses which GPU", "nvsharectl status"),
            (
                "Every tenant that waits, by a program",
                "nvsharectl status --json | jq '.tenants[] | select(.state == \"waiting\")'",
            ),
            ("Of a scheduler of one's own", "nvsharectl --runtime-dir ~/nvshare/run status"),
        ],
    ),
    ("nvsharectl-top", &[("Watch until q is pressed", "nvsharectl top")]),
    ("nvsharectl-set", &[("Turns of 5 s, until the daemon's next start", "nvsharectl set tq 5")]),
    (
        "nvsharectl-set-tq",
        &[
            ("Turns of 5 s on all GPUs", "nvsharectl set tq 5"),
            ("By the cost of hand-overs again", "nvsharectl set tq auto"),
            ("On one GPU", "nvsharectl set tq 10 --gpu GPU-465b9c41-0ad1-4a3b-8a3c-1c2f5a7c9e11"),
        ],
    ),
    ("nvsharectl-set-evict", &[("Evict all memory at each turn's end", "nvsharectl set evict always")]),
    (
        "nvsharectl-why",
        &[
            ("What tenant 3 waits for", "nvsharectl why 3"),
            ("What the programs of a container wait for", "nvsharectl why --container chat"),
        ],
    ),
    (
        "nvsharectl-pause",
        &[
            ("No more turns for tenant 3", "nvsharectl pause 3"),
            ("For a whole container", "nvsharectl pause --container 4f1d"),
        ],
    ),
    ("nvsharectl-resume", &[("Turns again", "nvsharectl resume 3")]),
    ("nvsharectl-evict", &[("Make room on the GPU, once", "nvsharectl evict 3")]),
    ("nvsharectl-reload", &[("After a change of config.toml", "nvsharectl reload")]),
    (
        "nvsharectl-set-limit",
        &[
            ("At most 8 GiB of each GPU for tenant 3", "nvsharectl set limit 3 8GiB"),
            ("For a container, and what joins it later", "nvsharectl set limit --container chat 8GiB"),
            ("What the settings and its own wish say", "nvsharectl set limit 3 default"),
        ],
    ),
    ("nvsharectl-set-weight", &[("Turns twice as long", "nvsharectl set weight 3 2")]),
    ("nvsharectl-set-priority", &[("Behind all others", "nvsharectl set priority 3 low")]),
    ("nvsharectl-set-time-share", &[("At most 30 % of each GPU's time", "nvsharectl set time-share 3 30%")]),
    ("nvsharectl-on", &[("Take turns again", "nvsharectl on")]),
    ("nvsharectl-off", &[("Let everybody run at once, to compare", "nvsharectl off")]),
    (
        "nvsharectl-events",
        &[
            ("Follow until Ctrl-C", "nvsharectl events"),
            ("Who had no room in the last hour", "nvsharectl events --since 1h --no-follow --kind no-room"),
            (
                "Who was refused memory or a place",
                "nvsharectl events --json | jq 'select(.kind == \"refused\" or .kind == \"memory-refused\")'",
            ),
        ],
    ),
    (
        "nvsharectl-report",
        &[
            ("Who has used how much in the last week, by user", "nvsharectl report --by user"),
            ("The last 30 days, for a spreadsheet", "nvsharectl report --since 30d --format csv"),
        ],
    ),
    (
        "nvsharectl-trace",
        &[("The last turns, as a picture for ui.perfetto.dev", "nvsharectl trace -o turns.json")],
    ),
    (
        "nvshare-ctk",
        &[
            ("Is anything missing on this machine?", "nvshare-ctk doctor"),
            ("docker run --runtime=nvshare", "nvshare-ctk runtime configure --runtime=docker"),
        ],
    ),
    (
        "nvshare-ctk-runtime",
        &[("docker run --runtime=nvshare", "nvshare-ctk runtime configure --runtime=docker")],
    ),
    (
        "nvshare-ctk-runtime-configure",
        &[
            ("docker run --runtime=nvshare", "nvshare-ctk runtime configure --runtime=docker"),
            (
                "For every container of docker",
                "nvshare-ctk runtime configure --runtime=docker --set-as-default",
            ),
            ("See what would be written", "nvshare-ctk runtime configure --runtime=containerd --dry-run"),
        ],
    ),
    ("nvshare-ctk-runtime-unconfigure", &[("Undo it", "nvshare-ctk runtime unconfigure --runtime=docker")]),
    (
        "nvshare-ctk-runtime-pass-through",
        &[("What the package's removal does", "nvshare-ctk runtime pass-through /usr/bin/nvshare-runtime")],
    ),
    ("nvshare-ctk-cdi", &[("podman run --device nvshare.io/gpu=shared", "nvshare-ctk cdi generate")]),
    (
        "nvshare-ctk-cdi-generate",
        &[("podman run --device nvshare.io/gpu=shared", "nvshare-ctk cdi generate")],
    ),
    ("nvshare-ctk-slurm", &[("srun --gres=shard:4 python3 train.py", "nvshare-ctk slurm configure")]),
    (
        "nvshare-ctk-slurm-configure",
        &[
            ("One shard is 2 GiB", "nvshare-ctk slurm configure --mem-per-shard 2GiB"),
            (
                "Jobs of the partition debug come first",
                "nvshare-ctk slurm configure --priority-partition debug:high",
            ),
            ("See what would be written", "nvshare-ctk slurm configure --dry-run"),
        ],
    ),
    ("nvshare-ctk-slurm-unconfigure", &[("Undo it", "nvshare-ctk slurm unconfigure")]),
    (
        "nvshare-ctk-doctor",
        &[
            ("Is anything missing on this machine?", "nvshare-ctk doctor"),
            (
                "Can the programs of an image load the library?",
                "nvshare-ctk doctor --rootfs /var/lib/machines/image",
            ),
        ],
    ),
    (
        "nvshare-ctk-explain",
        &[(
            "Why a container is managed, or is not",
            "nvshare-ctk explain /run/containerd/io.containerd.runtime.v2.task/moby/CONTAINER",
        )],
    ),
];

/// The tables of the operators' document that belong on a page.
const TABLES: &[(&str, &[(&str, &str)])] = &[
    ("nvsharectl-status", &[("COLUMNS", "| column | meaning |"), ("STATES", "| state | meaning |")]),
    (
        "nvsharectl-top",
        &[
            ("COLUMNS", "| column of `top` | meaning |"),
            ("KEYS", "| key | does |"),
            ("STATES", "| state | meaning |"),
        ],
    ),
    ("nvsharectl-why", &[("REASONS", "| reason | |"), ("STATES", "| state | meaning |")]),
    ("nvsharectl-events", &[("EVENTS", "| event | meaning |"), ("STATES", "| state | meaning |")]),
];

/// Of one page, by its name.
pub fn sections(name: &str) -> Roff {
    let mut roff = Roff::new();
    for (_, tables) in TABLES.iter().filter(|(page, _)| *page == name) {
        for (title, heading) in *tables {
            roff.control("SH", [*title]);
            list(
                &mut roff,
                table(OPERATING, heading).into_iter().map(|row| (row[0], format!("{}.", row[1]))),
            );
        }
    }
    for (_, examples) in EXAMPLES.iter().filter(|(page, _)| *page == name) {
        roff.control("SH", ["EXAMPLES"]);
        for (wish, command) in *examples {
            roff.control("PP", []).text(inlines(&format!("{wish}:")));
            roff.control("RS", []);
            roff.text([roman("$ "), bold(*command)]);
            roff.control("RE", []);
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;
    use clap::Command;
    use nvshare_protocol::control::EVENT_KINDS;
    use std::collections::BTreeSet;

    const CONTROL: &str = include_str!("../../scheduler/protocol/src/control.rs");

    /// The words in backquotes in the comment before a field of a structure of control.rs.
    fn words_of(structure: &str, field: &str) -> BTreeSet<&'static str> {
        let body = CONTROL.split(&format!("pub struct {structure} {{")).nth(1).unwrap();
        let before = body.split(&format!("pub {field}:")).next().unwrap();
        let comment: Vec<_> =
            before.lines().rev().skip(1).take_while(|line| line.trim().starts_with("///")).collect();
        let words = comment.iter().rev().flat_map(|line| line.split('`').skip(1).step_by(2));
        words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect()
    }

    fn missing(page: &str, words: BTreeSet<&'static str>) -> Vec<&'static str> {
        let text = sections(page).to_roff().replace("\\-", "-");
        words.into_iter().filter(|word| !text.contains(&format!("\\fB{word}\\fR"))).collect()
    }

    #[test]
    fn every_state_of_a_tenant_is_explained() {
        let states = words_of("TenantStatus", "state");
        assert!(states.len() >= 10, "{states:?}");
        for page in ["nvsharectl-status", "nvsharectl-top"] {
            assert_eq!(missing(page, states.clone()), [""; 0], "{page}: add them to docs/guide/operating.md");
        }
    }

    #[test]
    fn every_reason_is_explained() {
        let reasons = words_of("Why", "reason");
        assert!(reasons.len() >= 14, "{reasons:?}");
        assert_eq!(missing("nvsharectl-why", reasons), [""; 0], "add them to docs/guide/operating.md");
    }

    #[test]
    fn every_event_is_explained() {
        let events = EVENT_KINDS.into_iter().collect();
        assert_eq!(missing("nvsharectl-events", events), [""; 0], "add them to docs/guide/operating.md");
    }

    /// What the table of `status` has for heads, as its source writes them.
    #[test]
    fn every_column_is_explained() {
        let table = include_str!("../../scheduler/src/cli/table.rs").split("#[cfg(test)]").next().unwrap();
        let words = table.split('"').skip(1).step_by(2);
        let heads: BTreeSet<_> = words
            .filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '-'))
            .collect();
        assert!(heads.len() > 15, "{heads:?}");
        let rows = table_of_columns();
        let missing: Vec<_> = heads.into_iter().filter(|head| !rows.contains(head)).collect();
        assert_eq!(missing, [""; 0], "add them to docs/guide/operating.md");
    }

    fn table_of_columns() -> Vec<&'static str> {
        table(OPERATING, "| column | meaning |").into_iter().flat_map(|row| row[0].split(", ")).collect()
    }

    fn names(command: &Command, names: &mut BTreeSet<String>) {
        names.insert(command.get_display_name().unwrap_or(command.get_name()).to_owned());
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            self::names(below, names);
        }
    }

    #[test]
    fn every_command_has_an_example_that_its_program_takes() {
        let mut left = BTreeSet::new();
        for program in programs() {
            let mut program = program.disable_help_subcommand(true);
            program.build();
            names(&program, &mut left);
        }
        for (page, examples) in EXAMPLES {
            assert!(left.remove(*page), "no command is called {page}");
            for (_, command) in *examples {
                let ours = command.split(" | ").next().unwrap();
                let words: Vec<&str> = ours.split_whitespace().collect();
                let program = programs().into_iter().find(|program| program.get_name() == words[0]).unwrap();
                program
                    .try_get_matches_from(words)
                    .unwrap_or_else(|error| panic!("{page}: {command}: {error}"));
            }
        }
        assert!(left.is_empty(), "no example of {left:?}: add them to EXAMPLES");
    }
}
