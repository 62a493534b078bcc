//! Virtual memory management: addresses, physical memory, mappings, access, and what their wrong use costs.
mod support;
use support::{Cuda, await_word, child, is_role, run};

const GRANULE: u64 = 2 << 20;
const READ_WRITE: u32 = 3;

/// `CUmemAllocationProp` for memory of a device, as 8 words of 4 bytes.
fn prop(device: u32) -> [u32; 8] {
    [1, 0, 1, device, 0, 0, 0, 0]
}

/// The calls of this test, each with its answer.
trait Vmm {
    fn create(&self, bytes: u64) -> Result<u64, u32>;
    fn reserve(&self, bytes: u64) -> u64;
    fn map(&self, at: u64, bytes: u64, handle: u64) -> u32;
    fn allow(&self, at: u64, bytes: u64, flags: u32) -> u32;
    fn unmap(&self, at: u64, bytes: u64) -> u32;
    fn release(&self, handle: u64) -> u32;
    /// `bytes` of new memory at new addresses, for use.
    fn mapped(&self, bytes: u64) -> (u64, u64);
    fn words(&self, at: u64, count: usize) -> Vec<u32>;
}

impl Vmm for Cuda {
    fn create(&self, bytes: u64) -> Result<u64, u32> {
        let mut handle = 0_u64;
        let prop = prop(0);
        match call!(self, "cuMemCreate", &mut handle as *mut u64, bytes, prop.as_ptr(), 0) {
            0 => Ok(handle),
            code => Err(code),
        }
    }
    fn reserve(&self, bytes: u64) -> u64 {
        let mut at = 0_u64;
        ok!(self, "cuMemAddressReserve", &mut at as *mut u64, bytes, 0, 0, 0);
        at
    }
    fn map(&self, at: u64, bytes: u64, handle: u64) -> u32 {
        call!(self, "cuMemMap", at, bytes, 0, handle, 0)
    }
    fn allow(&self, at: u64, bytes: u64, flags: u32) -> u32 {
        let desc = [1_u32, 0, flags];
        call!(self, "cuMemSetAccess", at, bytes, desc.as_ptr(), 1)
    }
    fn unmap(&self, at: u64, bytes: u64) -> u32 {
        call!(self, "cuMemUnmap", at, bytes)
    }
    fn release(&self, handle: u64) -> u32 {
        call!(self, "cuMemRelease", handle)
    }
    fn mapped(&self, bytes: u64) -> (u64, u64) {
        let (at, handle) = (self.reserve(bytes), self.create(bytes).unwrap());
        assert_eq!(self.map(at, bytes, handle), 0);
        assert_eq!(self.allow(at, bytes, READ_WRITE), 0);
        (at, handle)
    }
    fn words(&self, at: u64, count: usize) -> Vec<u32> {
        let mut words = vec![0_u32; count];
        ok!(self, "cuMemcpyDtoH_v2", words.as_mut_ptr(), at, 4 * count as u64);
        words
    }
}

in_a_process! {
    the_device_says_that_it_can_and_in_which_steps() {
        let cuda = Cuda::begin();
        let (mut can, mut granularity) = (0_i32, 0_u64);
        ok!(cuda, "cuDeviceGetAttribute", &mut can as *mut i32, 102, 0);
        let prop = prop(0);
        ok!(cuda, "cuMemGetAllocationGranularity", &mut granularity as *mut u64, prop.as_ptr(), 0);
        assert_eq!((can, granularity), (1, GRANULE));
    }

    memory_at_two_addresses_is_one_memory_and_outlives_its_handle() {
        let cuda = Cuda::begin();
        let (one, handle) = cuda.mapped(2 * GRANULE);
        let other = cuda.reserve(2 * GRANULE);
        assert_eq!(cuda.map(other, 2 * GRANULE, handle), 0);
        assert_eq!(cuda.allow(other, 2 * GRANULE, READ_WRITE), 0);
        ok!(cuda, "cuMemsetD32_v2", one, 7, GRANULE / 2);
        assert_eq!(cuda.words(other, GRANULE as usize / 2), vec![7; GRANULE as usize / 2]);
        assert_eq!(cuda.unmap(one, 2 * GRANULE), 0);
        assert_eq!(cuda.release(handle), 0);
        assert_eq!(cuda.release(handle), 1);
        assert_eq!(cuda.words(other, 1), [7]);
        let before = cuda.free_bytes();
        assert_eq!(cuda.unmap(other, 2 * GRANULE), 0);
        assert_eq!(cuda.free_bytes(), before + 2 * GRANULE, "with its last mapping it goes");
    }

    what_somebody_left_in_memory_is_not_zeroes() {
        let cuda = Cuda::begin();
        let (at, handle) = cuda.mapped(GRANULE);
        assert_eq!(cuda.words(at, 3), [0xdbdb_dbdb; 3]);
        ok!(cuda, "cuMemsetD32_v2", at, 5, GRANULE / 4);
        assert_eq!(cuda.unmap(at, GRANULE), 0);
        assert_eq!(cuda.release(handle), 0);
        let (at, _) = cuda.mapped(GRANULE);
        assert_eq!(cuda.words(at, GRANULE as usize / 4), vec![0xdbdb_dbdb; GRANULE as usize / 4]);
    }

    one_kernel_works_over_many_mappings() {
        let cuda = Cuda::begin();
        let at = cuda.reserve(4 * GRANULE);
        for piece in 0..4 {
            let handle = cuda.create(GRANULE).unwrap();
            assert_eq!(cuda.map(at + piece * GRANULE, GRANULE, handle), 0);
        }
        assert_eq!(cuda.allow(at, 4 * GRANULE, READ_WRITE), 0);
        let (fill, add_one) = (cuda.function("fill"), cuda.function("add_one"));
        assert_eq!(cuda.launch(fill, 0, &[at, 9, GRANULE]), 0);
        assert_eq!(cuda.launch(add_one, 0, &[at, GRANULE]), 0);
        assert!(cuda.words(at, GRANULE as usize).iter().all(|word| *word == 10));
    }

    capacity_is_shared_with_plain_memory("FAKECUDA_MEMORY" = "64MiB") {
        let cuda = Cuda::begin();
        cuda.plain(32 << 20).unwrap();
        let handle = cuda.create(32 << 20).unwrap();
        assert_eq!(cuda.create(GRANULE), Err(2));
        assert_eq!(cuda.plain(1), Err(2));
        assert_eq!(cuda.free_bytes(), 0);
        assert_eq!(cuda.release(handle), 0);
        assert_eq!(cuda.free_bytes(), 32 << 20);
        cuda.create(GRANULE).unwrap();
    }

    wrong_uses_are_refused_and_leave_nothing() {
        let cuda = Cuda::begin();
        let all = cuda.free_bytes();
        let (at, handle) = cuda.mapped(2 * GRANULE);
        let more = cuda.create(4 * GRANULE).unwrap();
        for (what, code) in [
            ("an odd size", cuda.create(GRANULE + 1).unwrap_err()),
            ("nothing", cuda.create(0).unwrap_err()),
            ("over another mapping", cuda.map(at, GRANULE, handle)),
            ("no handle", cuda.map(at, GRANULE, 1)),
            ("beyond the reservation", cuda.map(at, 4 * GRANULE, more)),
            ("where nothing is reserved", cuda.map(GRANULE, GRANULE, more)),
            ("access to a part of a mapping", cuda.allow(at, GRANULE, READ_WRITE)),
            ("access where nothing is mapped", cuda.allow(at + 2 * GRANULE, GRANULE, READ_WRITE)),
            ("a part of a mapping", cuda.unmap(at, GRANULE)),
            ("addresses in use", call!(cuda, "cuMemAddressFree", at, 2 * GRANULE)),
            ("a part of the addresses", call!(cuda, "cuMemAddressFree", at, GRANULE)),
        ] {
            assert_eq!(code, 1, "{what}");
        }
        let (mut handle_too, wrong) = (0_u64, prop(7));
        assert_eq!(call!(cuda, "cuMemCreate", &mut handle_too as *mut u64, GRANULE, wrong.as_ptr(), 0), 101);
        assert_eq!(cuda.unmap(at, 2 * GRANULE), 0);
        assert_eq!(cuda.unmap(at, 2 * GRANULE), 0, "of nothing, as a real driver says it");
        assert_eq!(cuda.unmap(GRANULE, GRANULE), 1);
        assert_eq!((cuda.release(handle), cuda.release(more)), (0, 0));
        ok!(cuda, "cuMemAddressFree", at, 2 * GRANULE);
        assert_eq!(cuda.free_bytes(), all);
    }

    a_mapping_knows_its_handle_its_access_and_its_properties() {
        let cuda = Cuda::begin();
        let (at, handle) = cuda.mapped(GRANULE);
        let (mut again, mut flags, here, mut known) = (0_u64, 0_u64, [1_u32, 0], [0_u32; 8]);
        ok!(cuda, "cuMemRetainAllocationHandle", &mut again as *mut u64, at + 5);
        ok!(cuda, "cuMemGetAccess", &mut flags as *mut u64, here.as_ptr(), at);
        ok!(cuda, "cuMemGetAllocationPropertiesFromHandle", known.as_mut_ptr(), handle);
        assert_eq!((again, flags, known), (handle, 3, prop(0)));
        assert_eq!((cuda.release(handle), cuda.release(handle), cuda.release(handle)), (0, 0, 1));
        assert_eq!(cuda.unmap(at, GRANULE), 0);
        assert_eq!(call!(cuda, "cuMemGetAccess", &mut flags as *mut u64, here.as_ptr(), at), 1);
    }

    a_kernel_at_an_address_where_nothing_is_mapped_breaks_the_device() {
        let cuda = Cuda::begin();
        let (at, handle) = cuda.mapped(2 * GRANULE);
        let fill = cuda.function("fill");
        assert_eq!(cuda.launch(fill, 0, &[at, 9, GRANULE / 2]), 0);
        cuda.synchronize();
        assert_eq!((cuda.unmap(at, 2 * GRANULE), cuda.release(handle)), (0, 0));
        assert_eq!(cuda.launch(fill, 0, &[at, 9, 1]), 0);
        assert_eq!(call!(cuda, "cuCtxSynchronize"), 700);
        assert_eq!(cuda.launch(fill, 0, &[at, 9, 1]), 700, "and so does every call from then on");
        assert_eq!(cuda.plain(4096), Err(700));
    }

    a_set_without_access_breaks_the_device() {
        let cuda = Cuda::begin();
        let (at, _) = cuda.mapped(GRANULE);
        assert_eq!(cuda.allow(at, GRANULE, 0), 0);
        assert_eq!(call!(cuda, "cuMemsetD32_v2", at, 1, 1), 700);
        assert_eq!(call!(cuda, "cuCtxSynchronize"), 700);
    }

    a_copy_into_a_gap_breaks_the_device() {
        let cuda = Cuda::begin();
        let (at, handle) = (cuda.reserve(2 * GRANULE), cuda.create(GRANULE).unwrap());
        assert_eq!((cuda.map(at, GRANULE, handle), cuda.allow(at, GRANULE, READ_WRITE)), (0, 0));
        let bytes = vec![1_u8; GRANULE as usize + 1];
        ok!(cuda, "cuMemcpyHtoD_v2", at, bytes.as_ptr(), GRANULE);
        assert_eq!(call!(cuda, "cuMemcpyHtoD_v2", at, bytes.as_ptr(), GRANULE + 1), 700);
    }

    memory_that_is_unmapped_under_a_running_copy_breaks_the_device("FAKECUDA_BYTE_SCALE" = "1024") {
        let cuda = Cuda::begin();
        let (at, _) = cuda.mapped(GRANULE);
        let (stream, mut host) = (cuda.stream(), 0_u64);
        ok!(cuda, "cuMemHostAlloc", &mut host as *mut u64, GRANULE, 0);
        // 2 GiB at 16 GB/s: 0.13 s.
        ok!(cuda, "cuMemcpyDtoHAsync_v2", host, at, GRANULE, stream);
        assert_eq!(cuda.unmap(at, GRANULE), 0);
        assert_eq!(call!(cuda, "cuStreamSynchronize", stream), 700);
    }
}

#[test]
fn physical_memory_counts_for_all_processes_and_goes_with_the_one_that_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("FAKECUDA_DIR", dir.path().to_str().unwrap()), ("FAKECUDA_MEMORY", "64MiB")];
    let mut first = child("tenant_creates", &settings);
    await_word(&mut first, "ready");
    run("tenant_finds_a_full_card", &settings);
    first.kill().unwrap();
    first.wait().unwrap();
    run("tenant_finds_an_empty_card", &settings);
}

#[test]
fn tenant_creates() {
    if is_role("tenant_creates") {
        Cuda::begin().create(60 << 20).unwrap();
        println!("ready");
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    }
}

#[test]
fn tenant_finds_a_full_card() {
    if is_role("tenant_finds_a_full_card") {
        let cuda = Cuda::begin();
        assert_eq!((cuda.free_bytes(), cuda.create(6 << 20)), (4 << 20, Err(2)));
        cuda.create(4 << 20).unwrap();
    }
}

#[test]
fn tenant_finds_an_empty_card() {
    if is_role("tenant_finds_an_empty_card") {
        Cuda::begin().create(64 << 20).unwrap();
    }
}
