//! The alert rules for Prometheus: promtool takes them, each comes with its fault and not without, names metrics that there are,
//! and is explained to operators.
use nvshare_scheduler::metrics::table::TABLE;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const RULES: &str = include_str!("../grafana/nvshare-alerts.yml");
const TESTS: &str = include_str!("alerts/alerts.test.yml");
const OPERATING: &str = include_str!("../../docs/guide/operating.md");

/// What stands behind a word, by line.
fn behind<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(word)).map(str::trim).collect()
}

fn alerts() -> BTreeSet<&'static str> {
    let alerts = behind(RULES, "- alert:");
    assert!(alerts.len() >= 9, "{alerts:?}");
    alerts.into_iter().collect()
}

#[test]
fn every_alert_is_of_metrics_that_there_are() {
    let known: BTreeSet<String> = TABLE
        .iter()
        .flat_map(|row| [format!("nvshare_{}", row.name), format!("nvshare_{}_total", row.name)])
        .chain(["sum", "count", "bucket"].map(|end| format!("nvshare_handover_seconds_{end}")))
        .collect();
    let expressions = behind(RULES, "expr:");
    assert_eq!(expressions.len(), alerts().len());
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<_> = words.filter(|word| word.starts_with("nvshare_")).collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(known.contains(name), "{expression}: no metric is called {name}");
        }
    }
}

#[test]
fn every_alert_is_explained_and_tried() {
    let rows = OPERATING.split("| alert | it means | what to do |\n").nth(1).expect("the table of alerts");
    let rows = rows.lines().skip(1).take_while(|line| line.starts_with('|'));
    let explained: BTreeSet<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(explained, alerts(), "docs/guide/operating.md, Alerts");
    let tried: BTreeSet<_> =
        behind(TESTS, "- name:").into_iter().filter(|name| !name.contains(' ')).collect();
    assert_eq!(tried, alerts(), "packaging/tests/alerts/alerts.test.yml");
    for alert in alerts() {
        assert!(
            RULES.contains(&format!("runbook: \"operating.md, Alerts: {alert}\"")),
            "{alert} has no runbook"
        );
        assert!(
            TESTS.contains(&format!("alertname: {alert}, exp_alerts: []")),
            "{alert} is not tried without its fault"
        );
    }
}

/// Of this machine, or where tests/tools/setup.sh puts it: beside the target directory's programs.
fn promtool() -> Option<PathBuf> {
    let own = env::current_exe().unwrap();
    let ours = own.ancestors().map(|directory| directory.join("venv/bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    ours.chain(env::split_paths(&path))
        .map(|directory| directory.join("promtool"))
        .find(|file| file.is_file())
}

#[test]
fn promtool_takes_the_rules_and_their_tests() {
    let Some(promtool) = promtool() else {
        assert!(env::var_os("NVSHARE_TEST_NO_SKIP").is_none(), "skipped: no promtool");
        return;
    };
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/nvshare-alerts.yml");
    let place = tempfile::tempdir().unwrap();
    let tests = place.path().join("tests.yml");
    fs::write(&tests, TESTS.replace("RULES", rules.to_str().unwrap())).unwrap();
    for arguments in [["check", "rules", rules.to_str().unwrap()], ["test", "rules", tests.to_str().unwrap()]]
    {
        let done = Command::new(&promtool).args(arguments).output().unwrap();
        let said =
            [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(done.status.success(), "{arguments:?}: {said}");
    }
}
