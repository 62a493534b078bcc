//! What a handle of 64 bytes holds. The driver's own never begin with our mark.
use nvshare_abi::{CUipcMemHandle, c_char};

/// A socket's name in the abstract namespace, where every process of the same network namespace can read it.
pub type SocketName = [u8; 16];
/// A process that knows it may have the memory.
pub type Secret = [u8; 16];

const MARK: [u8; 8] = *b"nvshare\x01";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpcHandle {
    pub server: SocketName,
    pub secret: Secret,
    /// How far into the first piece the allocation begins, bytes.
    pub offset: u64,
    pub bytes: u64,
}

impl IpcHandle {
    pub fn into_cuda(self) -> CUipcMemHandle {
        let mut reserved = [0; 64];
        let (offset, bytes) = (self.offset.to_le_bytes(), self.bytes.to_le_bytes());
        let fields = MARK.iter().chain(&self.server).chain(&self.secret).chain(&offset).chain(&bytes);
        for (to, from) in reserved.iter_mut().zip(fields) {
            *to = *from as c_char;
        }
        CUipcMemHandle { reserved }
    }

    /// None for a handle of the driver's.
    pub fn from_cuda(handle: &CUipcMemHandle) -> Option<Self> {
        let mut bytes = handle.reserved.iter().map(|byte| *byte as u8);
        let ours = take::<8>(&mut bytes) == MARK;
        ours.then(|| Self {
            server: take(&mut bytes),
            secret: take(&mut bytes),
            offset: u64::from_le_bytes(take(&mut bytes)),
            bytes: u64::from_le_bytes(take(&mut bytes)),
        })
    }

    /// The name that the socket is bound to.
    pub fn socket(server: &SocketName) -> Vec<u8> {
        let digits: String = server.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("nvshare-ipc-{digits}").into_bytes()
    }
}

fn take<const N: usize>(bytes: &mut impl Iterator<Item = u8>) -> [u8; N] {
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_ours_is_read_back_and_others_are_not_ours() {
        let handle = IpcHandle { server: [0xfe; 16], secret: [7; 16], offset: 1 << 40, bytes: u64::MAX };
        assert_eq!(IpcHandle::from_cuda(&handle.into_cuda()), Some(handle));
        assert_eq!(IpcHandle::from_cuda(&CUipcMemHandle { reserved: [0; 64] }), None);
        assert!(IpcHandle::socket(&handle.server).len() < 107, "it fits into a socket's address");
    }
}
