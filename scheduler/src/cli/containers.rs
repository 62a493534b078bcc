//! Names of containers. The scheduler knows their ids, from the kernel; the engines of the host know the names.
use super::why::same_container;
use nvshare_protocol::control::{Status, TenantStatus};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where docker, and podman with `podman.socket`, answer for the host's containers.
const ENGINES: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];
/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest answer, in bytes.
const MOST: u64 = 16 << 20;
/// Characters of an id that a status has at least.
const ID: usize = 12;

/// The names that were asked for, by what a status shows of an id.
#[derive(Debug)]
pub struct Containers {
    engines: Vec<PathBuf>,
    known: HashMap<String, Option<String>>,
}

/// The one container that has this name, or whose id begins so, as a status shows it. Without one, or with several, the
/// word itself.
pub fn shown<'a>(status: &'a Status, word: &'a str) -> &'a str {
    let ids = |is: &dyn Fn(&&TenantStatus) -> bool| -> BTreeSet<&'a str> {
        status.tenants.iter().filter(is).filter_map(|row| row.container.as_deref()).collect()
    };
    let named = ids(&|row| row.container_name.as_deref() == Some(word));
    let begins =
        ids(&|row| row.container.as_ref().is_some_and(|id| same_container(id, word) && id.starts_with(word)));
    let one = |ids: BTreeSet<&'a str>| (ids.len() == 1).then(|| ids.first().copied()).flatten();
    one(named).or_else(|| one(begins)).unwrap_or(word)
}

/// One container in an engine's list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Vec<String>,
}

impl Default for Containers {
    fn default() -> Self {
        Self::of(ENGINES.map(PathBuf::from).to_vec())
    }
}

impl Containers {
    fn of(engines: Vec<PathBuf>) -> Self {
        Self { engines, known: HashMap::new() }
    }

    /// Fills in the names of the tenants' containers. The engines are asked if there is a container that they were not
    /// asked about; a user's own containers are not theirs.
    pub fn name(&mut self, status: &mut Status) {
        let ids = status.tenants.iter().filter_map(|row| row.container.as_ref());
        if ids.clone().any(|id| is_the_hosts(id) && !self.known.contains_key(id)) {
            let listed: Vec<Listed> =
                self.engines.iter().filter_map(|engine| list(engine)).flatten().collect();
            let name = |id: &String| {
                let found = listed.iter().find(|listed| listed.id.starts_with(id.as_str()))?;
                found.names.first().map(|name| name.trim_start_matches('/').to_owned())
            };
            // Those that have ended are forgotten.
            self.known = ids.filter(|id| is_the_hosts(id)).map(|id| (id.clone(), name(id))).collect();
        }
        for row in &mut status.tenants {
            row.container_name = row.container.as_ref().and_then(|id| self.known.get(id).cloned()?);
        }
    }
}

fn is_the_hosts(id: &str) -> bool {
    id.len() >= ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The containers that run, by an engine; none: it cannot be asked.
fn list(engine: &Path) -> Option<Vec<Listed>> {
    let mut stream = UnixStream::connect(engine).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // In version 1.0 the answer ends with the connection.
    stream.write_all(b"GET /containers/json HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let status = answer[..end].split(|&byte| byte == b' ').nth(1)?;
    (status == b"200").then(|| serde_json::from_slice(&answer[end + 4..]).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::{Receiver, channel};

    /// An engine that answers so, and what it is asked.
    fn engine(path: &Path, answer: &'static str) -> Receiver<String> {
        let listener = UnixListener::bind(path).unwrap();
        let (send, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 512];
                let n = stream.read(&mut bytes).unwrap();
                send.send(String::from_utf8_lossy(&bytes[..n]).into_owned()).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        asked
    }

    fn status(containers: &[Option<&str>]) -> Status {
        let tenant =
            |id: &Option<&str>| TenantStatus { container: id.map(str::to_owned), ..TenantStatus::default() };
        Status { tenants: containers.iter().map(tenant).collect(), ..Status::default() }
    }

    fn names(status: &Status) -> Vec<Option<&str>> {
        status.tenants.iter().map(|row| row.container_name.as_deref()).collect()
    }

    #[test]
    fn a_container_is_meant_by_its_name_or_the_beginning_of_its_id() {
        let mut status = status(&[Some("4f1d3c0b5a69"), Some("4f1daaaaaaaa of uid 1000"), None]);
        status.tenants[0].container_name = Some("web".into());
        for (word, meant) in [
            ("web", "4f1d3c0b5a69"),
            ("4f1d3", "4f1d3c0b5a69"),
            ("4f1da", "4f1daaaaaaaa of uid 1000"),
            ("4f1d", "4f1d"),
            ("gone", "gone"),
            ("", ""),
        ] {
            assert_eq!(shown(&status, word), meant);
        }
    }

    #[test]
    fn names_are_those_that_the_hosts_engines_know() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["none.sock", "docker.sock", "podman.sock"].map(|name| dir.path().join(name));
        let docker = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n\
            [{\"Id\":\"4f1d3c0b5a69788796a5\",\"Names\":[\"/web\",\"/alias\"],\"Image\":\"x\"},\
             {\"Id\":\"aaaaaaaaaaaabbbbbbbb\",\"Names\":[]}]\n";
        let podman = "HTTP/1.0 200 OK\r\n\r\n[{\"Id\":\"bbbbbbbbbbbb0000\",\"Names\":[\"train\"]}]";
        let asked = engine(&paths[1], docker);
        let _podman = engine(&paths[2], podman);
        let mut containers = Containers::of(paths.to_vec());
        let ids = [
            Some("4f1d3c0b5a69"),
            None,
            Some("aaaaaaaaaaaa"),
            Some("bbbbbbbbbbbb"),
            Some("4f1d3c0b5a69 of uid 1000"),
        ];
        let mut all = status(&ids);
        containers.name(&mut all);
        assert_eq!(names(&all), [Some("web"), None, None, Some("train"), None]);
        assert!(asked.recv().unwrap().starts_with("GET /containers/json HTTP/1.0\r\n"));
        containers.name(&mut all);
        assert!(asked.try_recv().is_err(), "it is not asked again about the same");
        let mut fewer = status(&[Some("cccccccccccc")]);
        containers.name(&mut fewer);
        assert_eq!((names(&fewer), containers.known.len()), (vec![None], 1));
        assert!(asked.recv().is_ok());
    }

    #[test]
    fn an_engine_that_refuses_or_talks_nonsense_leaves_the_ids() {
        let dir = tempfile::tempdir().unwrap();
        for (n, answer) in
            ["HTTP/1.0 500 Oh\r\n\r\n[]", "HTTP/1.0 200 OK\r\n\r\n{}", "", "\r\n\r\n"].into_iter().enumerate()
        {
            let path = dir.path().join(n.to_string());
            let _asked = engine(&path, answer);
            let mut some = status(&[Some("4f1d3c0b5a69")]);
            Containers::of(vec![path]).name(&mut some);
            assert_eq!(names(&some), [None], "{answer:?}");
        }
    }
}
