//! What the gate adds to a launch: calls of a driver that does nothing, bare and under nvshare, in
//! processes of their own and in turn. Budget: 25 ns a launch (docs/reference/specification.md).
use criterion::{Criterion, criterion_group, criterion_main};
use nvshare_tests::world::built;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A process that makes as many launches as it is told and answers how long that took.
struct Caller {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Caller {
    fn start(driver: &Path, preload: Option<&Path>) -> Self {
        let mut command = Command::new(built().expect("built files").join("launches"));
        command.env("LD_LIBRARY_PATH", driver).env("NVSHARE_SOCKET", "/nonexistent/scheduler.sock");
        command.env("NVSHARE_LOG", "off").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(library) = preload {
            command.env("LD_PRELOAD", library);
        }
        let mut child = command.spawn().expect("the caller starts");
        let ask = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, ask, answers }
    }

    fn launches(&mut self, count: u64) -> Duration {
        writeln!(self.ask, "{count}").expect("the caller reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the caller answers");
        Duration::from_nanos(line.trim().parse().expect("nanoseconds"))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launches(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/null_driver.c");
    let built_driver = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
        .arg(dir.path().join("libcuda.so.1"))
        .arg(source)
        .status();
    assert!(built_driver.expect("cc runs").success());
    let library = built().expect("built files").join("libnvshare.so");
    let mut group = criterion.benchmark_group("launch");
    for (name, preload) in [("bare", None), ("nvshare", Some(library.as_path()))] {
        let mut caller = Caller::start(dir.path(), preload);
        group.bench_function(name, |bencher| bencher.iter_custom(|count| caller.launches(count)));
    }
    group.finish();
}

criterion_group!(benches, launches);
criterion_main!(benches);
