//! The configurations of docker, containerd, CRI-O and podman.
use nvshare_runtime_hook::ctk::change::Change;
use nvshare_runtime_hook::ctk::engines::Engine;

/// The engine by the first byte, then the file.
///
/// Promises: a change made twice is made once, and what was put in can be taken out.
pub fn change(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let engine = [Engine::Docker, Engine::Containerd, Engine::Crio, Engine::Podman][usize::from(first % 4)];
    let set_as_default = first & 4 != 0;
    let configure = Change::Configure { path: "/usr/bin/nvshare-runtime".into(), set_as_default };
    if let Ok(once) = engine.change(text, &configure) {
        assert_eq!(engine.change(&once, &configure).expect("what we wrote can be changed"), once);
        let out = engine.change(&once, &Change::Unconfigure).expect("what we wrote can be taken out");
        assert_eq!(engine.change(&out, &Change::Unconfigure).expect("twice"), out);
    }
    let _ = engine.change(text, &Change::Unconfigure);
}
