//! Every transcript in `golden/` comes out as it stands there: remarks, settings, events and the actions
//! they lead to. `UPDATE_GOLDEN=1` writes the actions anew; read the difference before you keep it.
use std::path::{Path, PathBuf};

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("tests/golden can be listed")
        .map(|entry| entry.expect("tests/golden can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[test]
fn golden_transcripts_come_out_the_same() {
    let files = transcripts();
    assert!(files.len() >= 8, "only {} transcripts", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("a transcript is text");
        let came = nvshare_core::replay(&expected).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        if came == expected {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, came).expect("a transcript can be written");
            continue;
        }
        let at = expected.lines().zip(came.lines()).position(|(a, b)| a != b);
        let at = at.unwrap_or_else(|| expected.lines().count().min(came.lines().count()));
        let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
        wrong.push(format!(
            "{}:{}\n  expected: {}\n  came:     {}",
            file.display(),
            at + 1,
            line(&expected),
            line(&came)
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_log_that_cannot_be_read_names_the_line_and_the_word() {
    for (log, complaint) in [
        ("now event tick", "line 1: `now` is no time in seconds"),
        ("# remark\n1.5 evnt tick", "line 2: `evnt` is none of `settings`, `event`, `action`"),
        ("1.5 event nap", "line 1: `nap` is no event"),
        ("1.5 event left", "line 1: `tenant` is missing"),
        ("1.5 event left tenant=-1", "line 1: `tenant` cannot be `-1`"),
        ("1.5 event left tenant=1 lease=2", "line 1: `lease` does not belong here"),
        ("1.5 event left tenant", "line 1: `tenant` has no `=`"),
        ("1.5 event device tenant=1 device=GPU-12 capacity=1", "line 1: `device` cannot be `GPU-12`"),
        ("99999999999.0 event tick", "line 1: `99999999999.0` is no time in seconds"),
    ] {
        assert_eq!(nvshare_core::replay(log).expect_err(log).to_string(), complaint);
    }
}
