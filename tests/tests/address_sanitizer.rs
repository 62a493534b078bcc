//! Programs built with the compiler's sanitizers start under the library as they do without it.
use anyhow::{Result, ensure};
use nvshare_tests::world::built;
use std::process::{Command, Output};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// GUEST: "ASan runtime does not come first", rc 1.
#[test]
fn a_sanitized_program_starts_and_still_finds_its_faults() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let source = directory.path().join("program.c");
    let text = "#include <stdlib.h>\n#include <stdio.h>\n\
        int main(int argc, char **argv) { char *bytes = malloc(8); puts(\"started\"); fflush(stdout);\n\
        if (argc > 1) free(bytes); bytes[0] = 1; int got = bytes[0] - 1; if (argc == 1) free(bytes); return got; }\n";
    std::fs::write(&source, text)?;
    for sanitizer in ["address", "undefined", "address,undefined"] {
        let program = directory.path().join("program");
        let flag = format!("-fsanitize={sanitizer}");
        let made = Command::new("cc").args(["-O0", &flag, "-o"]).arg(&program).arg(&source).output()?;
        ensure!(made.status.success(), "{}", said(&made));
        let start = |faulty: bool| {
            let mut command = Command::new(&program);
            command.env("LD_PRELOAD", built()?.join("libnvshare.so"));
            anyhow::Ok(command.args(faulty.then_some("faulty")).output()?)
        };
        let output = start(false)?;
        ensure!(output.status.success() && said(&output) == "started\n", "{sanitizer}: {}", said(&output));
        if sanitizer.contains("address") {
            let output = start(true)?;
            ensure!(
                !output.status.success() && said(&output).contains("heap-use-after-free"),
                "{}",
                said(&output)
            );
        }
    }
    Ok(())
}
