//! nvshare(7): what there is, the words, the variables and annotations, and where to look. Its tables are those of the documents,
//! which tests hold to the programs.
use crate::manual::{MANUAL, see_also, source};
use crate::text::{inlines, list, table};
use crate::{contact, programs};
use anyhow::Result;
use clap_mangen::roff::{Roff, bold, italic, roman};

const NAME: &str = "nvshare";
const README: &str = include_str!("../../README.md");
const CONTAINERS: &str = include_str!("../../docs/guide/containers.md");
const GETTING_STARTED: &str = include_str!("../../docs/guide/getting-started.md");

const VARIABLES: &str = "| variable | allowed | default | meaning |";
const ENGINES: &str = "| engine | allocations are | moved | needs |";
const ANNOTATIONS: &str = "| annotation | variable | meaning |";
const WORDS: &str = "| word | meaning |";

/// The files that somebody looks for.
const FILES: &[(&str, &str)] = &[
    ("/etc/nvshare/config.toml", "Every setting, with its meaning and default: `nvshare-config.toml`(5)."),
    (
        "/usr/lib/nvshare/libnvshare.so",
        "The library that programs load, by `LD_PRELOAD` or `/etc/ld.so.preload`.",
    ),
    ("/run/nvshare/tenants/scheduler.sock", "Where programs meet the scheduler; everybody may."),
    ("/run/nvshare/control.sock", "For `nvsharectl`: root and the group `nvshare`."),
    ("/run/nvshare/user.sock", "For `nvsharectl` of everybody else: it shows a user's own programs."),
    ("/var/log/nvshare/runtime.log", "Why a container was not managed, a line each."),
    (
        "/usr/share/doc/nvshare",
        "The guide and the reference, the dashboard for Grafana, the alert rules for Prometheus.",
    ),
];

/// Whoever wants something, and where it is.
const WHERE: &[(&str, &str)] = &[
    ("the first steps", "`/usr/share/doc/nvshare/guide/getting-started.md`"),
    (
        "docker compose, JupyterHub, LLM servers, a host with many users, a systemd service",
        "`/usr/share/doc/nvshare/guide/recipes.md`",
    ),
    ("container engines", "`/usr/share/doc/nvshare/guide/containers.md`, `nvshare-ctk`(8)"),
    (
        "what is going on",
        "`nvsharectl status`, `nvsharectl top`, `nvsharectl events`; their columns, states and events: `nvsharectl-status`(8), `nvsharectl-events`(8)",
    ),
    ("why does a program wait", "`nvsharectl why`, and `nvsharectl-why`(8) for the reasons"),
    ("who has used how much", "`nvsharectl report`"),
    ("a change while programs run", "`nvsharectl set`, `nvsharectl reload`: `nvsharectl-set`(8)"),
    ("is anything missing", "`nvshare-ctk doctor`"),
    ("limits, metrics, what to do when something is wrong", "`/usr/share/doc/nvshare/guide/operating.md`"),
    ("questions", "`/usr/share/doc/nvshare/guide/faq.md`"),
    ("the JSON of `nvsharectl`, for programs", "`/usr/share/doc/nvshare/reference/json.md`"),
    ("all words", "`/usr/share/doc/nvshare/reference/glossary.md`"),
    ("the daemon's log", "`journalctl -u nvshare-scheduler`"),
];

/// The page as roff.
pub fn page(date: &str) -> Result<Vec<u8>> {
    let mut roff = Roff::new();
    let source = source();
    roff.control("TH", [NAME, "7", date, source.as_str(), MANUAL]);
    roff.control("SH", ["NAME"])
        .text([roman("nvshare - several containers or processes share one NVIDIA GPU")]);
    roff.control("SH", ["SYNOPSIS"]);
    for line in
        ["LD_PRELOAD=/usr/lib/nvshare/libnvshare.so PROGRAM", "docker run --runtime=nvshare --gpus all IMAGE"]
    {
        roff.text([bold(line)]).control("br", []);
    }
    roff.control("SH", ["DESCRIPTION"]).text(inlines(
        "Each program sees the whole card. Programs that fit together run together. Others take turns, and memory that the next \
         one needs is moved to the host's memory and back. A program takes part if it loads the library; a container does if it \
         is started by the runtime `nvshare`, by podman's hook or with the CDI device. Without a scheduler a program runs as \
         without nvshare.",
    ));
    roff.control("SH", ["PROGRAMS"]);
    for program in programs() {
        let about = program.get_about().map(ToString::to_string).unwrap_or_default();
        list(&mut roff, [(format!("`{}`(8)", program.get_name()).as_str(), about)]);
    }
    list(
        &mut roff,
        [
            (
                "`nvshare-runtime`(8)",
                "The runtime that docker, podman, containerd and CRI-O start.".to_owned(),
            ),
            ("`nvshare-hook`(8)", "The same for podman, as a hook, and for CDI.".to_owned()),
        ],
    );
    roff.control("SH", ["WORDS"]);
    list(&mut roff, table(GETTING_STARTED, WORDS).into_iter().map(|row| (row[0], format!("{}.", row[1]))));
    roff.control("SH", ["ENVIRONMENT"]).text(inlines("Of a program that loads the library:"));
    list(
        &mut roff,
        table(README, VARIABLES).into_iter().map(|row| (row[0], sentence(row[3], row[1], row[2]))),
    );
    roff.control("SH", ["ENGINES"]).text(inlines("What moves a program's memory (`NVSHARE_ENGINE`):"));
    list(
        &mut roff,
        table(README, ENGINES)
            .into_iter()
            .filter(|row| row[0] != "`auto`")
            .map(|row| (row[0], format!("Allocations are {}. Moved {}. Needs {}.", row[1], row[2], row[3]))),
    );
    roff.control("SH", ["ANNOTATIONS"]).text(inlines(
        "Of a container, from whoever starts it (`docker run --annotation`, `podman run --annotation`). They bound what its \
         programs may ask for by variables.",
    ));
    list(
        &mut roff,
        table(CONTAINERS, ANNOTATIONS)
            .into_iter()
            .map(|row| (row[0], format!("{}. As a variable: {}.", row[2], row[1]))),
    );
    roff.control("SH", ["FILES"]);
    for (file, about) in FILES {
        roff.control("TP", []).text([italic(*file)]);
        roff.text(inlines(about));
    }
    roff.control("SH", ["WHERE TO LOOK"]);
    list(&mut roff, WHERE.iter().map(|(wish, place)| (*wish, format!("{place}."))));
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    for more in [contact::section(), see_also(NAME)] {
        page.extend_from_slice(more.to_roff().as_bytes());
    }
    Ok(page)
}

fn sentence(meaning: &str, allowed: &str, default: &str) -> String {
    format!("{meaning}. Allowed: {allowed}. Default: {default}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_runtime_hook::constants;

    fn text() -> String {
        String::from_utf8(page("2026-01-31").unwrap()).unwrap().replace("\\-", "-")
    }

    /// The library's own test holds README's table to its settings.
    #[test]
    fn every_variable_has_a_paragraph() {
        let rows = table(README, VARIABLES);
        assert!(rows.len() >= 11, "{rows:?}");
        for row in rows {
            let name = row[0].trim_matches('`');
            assert!(name.starts_with("NVSHARE_"), "{name}");
            assert!(text().contains(&format!(".TP\n\\fB{name}\\fR\n")), "{name}");
        }
    }

    #[test]
    fn every_annotation_has_a_paragraph() {
        let options = constants::TENANT_OPTIONS.iter().map(|option| (option.annotation, option.variable));
        for (annotation, variable) in
            options.chain([(constants::ENABLE_ANNOTATION, constants::ENABLE_VARIABLE)])
        {
            assert!(text().contains(&format!(".TP\n\\fB{annotation}\\fR\n")), "{annotation}");
            assert!(text().contains(&format!("As a variable: \\fB{variable}\\fR.")), "{variable}");
        }
    }

    /// dist.sh puts the documents there.
    #[test]
    fn every_document_that_is_named_ships() {
        let named: Vec<_> = WHERE
            .iter()
            .flat_map(|(_, place)| place.split('`'))
            .filter_map(|word| word.strip_prefix("/usr/share/doc/nvshare/"))
            .collect();
        assert!(named.len() > 5, "{named:?}");
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        for name in named {
            assert!(docs.join(name).is_file(), "{name}");
        }
    }
}
