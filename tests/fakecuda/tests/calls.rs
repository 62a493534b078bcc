//! Calls and their errors, each in a process of its own, as a driver is one per process.
#![allow(unsafe_code)] // it forks, and touches managed memory as the host does
mod support;
use support::Cuda;

in_a_process! {
    calls_before_init_and_without_a_context_are_refused() {
        let cuda = Cuda::open();
        let mut out = 0_u64;
        assert_eq!(call!(cuda, "cuDeviceGetCount", &mut out as *mut u64), 3);
        ok!(cuda, "cuInit", 0);
        assert_eq!(cuda.plain(4096), Err(201));
    }

    contexts_of_the_first_version_are_contexts() {
        let cuda = Cuda::begin();
        let (mut primary, mut made, mut popped) = (0_u64, 0_u64, 0_u64);
        ok!(cuda, "cuCtxGetCurrent", &mut primary as *mut u64);
        ok!(cuda, "cuCtxCreate", &mut made as *mut u64, 0, 0);
        let at = cuda.plain(4096).unwrap();
        ok!(cuda, "cuCtxPopCurrent", &mut popped as *mut u64);
        assert_eq!(popped, made);
        ok!(cuda, "cuCtxPushCurrent", made);
        ok!(cuda, "cuMemsetD8_v2", at, 1, 4096);
        ok!(cuda, "cuCtxDestroy", made);
        assert_eq!(call!(cuda, "cuMemsetD8_v2", at, 1, 4096), 1, "its memory went with it");
        let mut current = 0_u64;
        ok!(cuda, "cuCtxGetCurrent", &mut current as *mut u64);
        assert_eq!(current, primary);
    }

    an_ended_primary_context_is_known_and_refuses_all_else_until_it_is_retained_again() {
        let cuda = Cuda::begin();
        let (mut before, mut device, mut again) = (0_u64, 9_u32, 0_u64);
        ok!(cuda, "cuCtxGetCurrent", &mut before as *mut u64);
        ok!(cuda, "cuDevicePrimaryCtxReset_v2", 0);
        ok!(cuda, "cuCtxGetDevice", &mut device as *mut u32);
        assert_eq!((device, cuda.plain(4096)), (0, Err(709)));
        ok!(cuda, "cuCtxPushCurrent_v2", before);
        assert_eq!(call!(cuda, "cuCtxSynchronize"), 709);
        ok!(cuda, "cuDevicePrimaryCtxRetain", &mut again as *mut u64, 0);
        assert_eq!(again, before);
        cuda.plain(4096).unwrap();
        ok!(cuda, "cuDevicePrimaryCtxRelease_v2", 0);
        cuda.plain(4096).expect("a reset does not release");
        ok!(cuda, "cuDevicePrimaryCtxRelease_v2", 0);
        assert_eq!(cuda.plain(4096), Err(709));
        assert_eq!(call!(cuda, "cuDevicePrimaryCtxRelease_v2", 0), 201);
    }

    a_node_of_a_graph_takes_a_function_and_no_kernel_of_a_library() {
        let cuda = Cuda::begin();
        let text = std::ffi::CString::new(include_str!("../kernels.ptx")).unwrap();
        let (mut library, mut kernel, mut function, mut graph, mut node) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        ok!(cuda, "cuLibraryLoadData", &mut library as *mut u64, text.as_ptr(), 0, 0, 0, 0, 0, 0);
        ok!(cuda, "cuLibraryGetKernel", &mut kernel as *mut u64, library, c"spin".as_ptr());
        ok!(cuda, "cuKernelGetFunction", &mut function as *mut u64, kernel);
        ok!(cuda, "cuGraphCreate", &mut graph as *mut u64, 0);
        let mut nanos = 1_u64;
        let mut arguments = [&mut nanos as *mut u64];
        let mut add = |function: u64| {
            // func, six sizes and the shared bytes, the arguments, extra, kern, ctx.
            let params = [function, 1 << 32 | 1, 1 << 32 | 1, 1 << 32 | 1, 0, arguments.as_mut_ptr() as u64, 0, 0, 0];
            call!(cuda, "cuGraphAddKernelNode_v2", &mut node as *mut u64, graph, 0, 0, params.as_ptr())
        };
        assert_eq!((add(kernel), add(function)), (400, 0));
        assert_eq!(cuda.launch(kernel, 0, &[1]), 0);
    }

    copies_and_fills_beyond_all_addresses_are_refused() {
        let cuda = Cuda::begin();
        let at = cuda.plain(4096).unwrap();
        const DEVICE: u64 = 2;
        let copy = |y: u64, pitch: u64, height: u64| {
            // x, y, kind, host, device, array, pitch of either end, source first; width and height.
            let description = [0, y, DEVICE, 0, at, 0, pitch, 0, 0, DEVICE, 0, at, 0, 512, 16, height];
            call!(cuda, "cuMemcpy2D_v2", description.as_ptr())
        };
        assert_eq!((copy(1, 512, 2), copy(u64::MAX, 512, 2), copy(0, u64::MAX, 3)), (0, 1, 1));
        assert_eq!(call!(cuda, "cuMemsetD2D32_v2", at, u64::MAX, 0, 4, 3), 1);
        assert_eq!(call!(cuda, "cuMemsetD32_v2", at, 0, u64::MAX), 1);
    }

    what_a_pool_keeps_is_taken_once("FAKECUDA_MEMORY" = "64MiB") {
        const MIB: u64 = 1 << 20;
        const THRESHOLD: u32 = 4;
        let cuda = Cuda::begin();
        let (mut pool, mut at, mut free, mut total, all) = (0_u64, 0_u64, 0_u64, 0_u64, u64::MAX);
        ok!(cuda, "cuDeviceGetDefaultMemPool", &mut pool as *mut u64, 0);
        ok!(cuda, "cuMemPoolSetAttribute", pool, THRESHOLD, &all as *const u64);
        ok!(cuda, "cuMemAllocAsync", &mut at as *mut u64, 16 * MIB, 0);
        ok!(cuda, "cuMemFreeAsync", at, 0);
        cuda.synchronize();
        ok!(cuda, "cuMemGetInfo_v2", &mut free as *mut u64, &mut total as *mut u64);
        cuda.plain(free - 8 * MIB).unwrap();
        assert_eq!(call!(cuda, "cuMemAllocAsync", &mut at as *mut u64, 26 * MIB, 0), 2);
        ok!(cuda, "cuMemAllocAsync", &mut at as *mut u64, 24 * MIB, 0);
        assert_eq!(cuda.plain(2 * MIB), Err(2));
        ok!(cuda, "cuMemFreeAsync", at, 0);
        cuda.synchronize();
        cuda.plain(24 * MIB).unwrap();
    }

    a_forked_child_is_not_initialised() {
        let cuda = Cuda::begin();
        // SAFETY: this process has one thread, and its child only calls the driver and ends.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(call!(cuda, "cuCtxSynchronize") as i32);
            }
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            libc::WEXITSTATUS(status)
        };
        assert_eq!(status, 3);
        cuda.synchronize();
    }

    vector_add_adds() {
        let cuda = Cuda::begin();
        let add = cuda.function("vector_add");
        let host: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let [a, b, c] = [(); 3].map(|()| cuda.plain(4000).unwrap());
        ok!(cuda, "cuMemcpyHtoD_v2", a, host.as_ptr(), 4000);
        ok!(cuda, "cuMemcpyDtoD_v2", b, a, 4000);
        assert_eq!(cuda.launch(add, 0, &[c, a, b, 1000]), 0);
        let mut sums = vec![0_f32; 1000];
        ok!(cuda, "cuMemcpyDtoH_v2", sums.as_mut_ptr(), c, 4000);
        assert!(sums.iter().enumerate().all(|(i, sum)| *sum == 2.0 * i as f32));
    }

    a_wrong_address_is_refused_and_in_a_kernel_breaks_the_context() {
        let cuda = Cuda::begin();
        assert_eq!(call!(cuda, "cuMemFree_v2", 4096), 1);
        assert_eq!(call!(cuda, "cuMemsetD8_v2", 4096, 0, 1), 1);
        let fill = cuda.function("fill");
        assert_eq!(cuda.launch(fill, 0, &[4096, 0, 1]), 0);
        assert_eq!(call!(cuda, "cuCtxSynchronize"), 700);
    }

    a_planned_failure_comes_at_its_call("FAKECUDA_FAIL" = "cuMemAllocManaged:2:801,cuMemPrefetchAsync:1:2") {
        let cuda = Cuda::begin();
        let at = cuda.managed(4096);
        let mut other = 0_u64;
        assert_eq!(call!(cuda, "cuMemAllocManaged", &mut other as *mut u64, 4096, 1), 801);
        cuda.managed(4096);
        assert_eq!(call!(cuda, "cuMemPrefetchAsync_ptsz", at, 4096, 0, 0), 2);
        cuda.prefetch(at, 4096, 0, 0);
    }

    streams_wait_for_events_and_the_null_stream_for_blocking_ones("FAKECUDA_TIME_SCALE" = "50") {
        let cuda = Cuda::begin();
        let spin = cuda.function("spin");
        let (a, b) = (cuda.stream(), cuda.stream());
        let start = cuda.mark(a);
        assert_eq!(cuda.launch(spin, a, &[2_000_000_000]), 0);
        let middle = cuda.mark(a);
        ok!(cuda, "cuStreamWaitEvent", b, middle, 0);
        let end = cuda.mark(b);
        assert_eq!(call!(cuda, "cuStreamQuery", a), 600);
        ok!(cuda, "cuStreamSynchronize", b);
        assert!((cuda.seconds(start, end) - 2.0).abs() < 0.01);
        let mut blocking = 0_u64;
        ok!(cuda, "cuStreamCreate", &mut blocking as *mut u64, 0);
        let start = cuda.mark(blocking);
        assert_eq!(cuda.launch(spin, blocking, &[1_000_000_000]), 0);
        let end = cuda.mark(0);
        cuda.synchronize();
        assert!(cuda.seconds(start, end) > 0.999);
    }

    a_kernel_waits_for_a_flag_of_the_host() {
        let cuda = Cuda::begin();
        let wait = cuda.function("wait_flag");
        let mut at = 0_u64;
        ok!(cuda, "cuMemHostAlloc", &mut at as *mut u64, 4096, 0);
        assert_eq!(cuda.launch(wait, 0, &[at]), 0);
        assert_eq!(call!(cuda, "cuStreamQuery", 0), 600);
        // SAFETY: host memory that the driver has just given, which is mapped in this process.
        unsafe { (at as *mut u32).write_volatile(1) };
        cuda.synchronize();
    }

    a_captured_graph_runs_when_launched() {
        let cuda = Cuda::begin();
        let (fill, add_one, stream) = (cuda.function("fill"), cuda.function("add_one"), cuda.stream());
        let at = cuda.plain(400).unwrap();
        assert_eq!(cuda.launch(fill, stream, &[at, 5, 100]), 0);
        let (mut graph, mut exec) = (0_u64, 0_u64);
        ok!(cuda, "cuStreamBeginCapture_v2", stream, 0);
        assert_eq!(cuda.launch(add_one, stream, &[at, 100]), 0);
        assert_eq!(cuda.launch(add_one, stream, &[at, 100]), 0);
        ok!(cuda, "cuStreamEndCapture", stream, &mut graph as *mut u64);
        ok!(cuda, "cuGraphInstantiateWithFlags", &mut exec as *mut u64, graph, 0);
        ok!(cuda, "cuGraphLaunch", exec, stream);
        ok!(cuda, "cuGraphLaunch", exec, stream);
        cuda.synchronize();
        let mut words = [0_u32; 100];
        ok!(cuda, "cuMemcpyDtoH_v2", words.as_mut_ptr(), at, 400);
        assert_eq!(words, [9; 100]);
    }

    a_prohibited_call_ends_a_global_capture_unless_the_thread_is_relaxed() {
        let cuda = Cuda::begin();
        let stream = cuda.stream();
        let mut graph = 0_u64;
        ok!(cuda, "cuStreamBeginCapture_v2", stream, 0);
        let mut mode = 2_u32;
        ok!(cuda, "cuThreadExchangeStreamCaptureMode", &mut mode as *mut u32);
        ok!(cuda, "cuStreamSynchronize", 0);
        cuda.plain(4096).unwrap();
        ok!(cuda, "cuThreadExchangeStreamCaptureMode", &mut mode as *mut u32);
        assert_eq!(cuda.plain(4096), Err(900));
        assert_eq!(call!(cuda, "cuStreamEndCapture", stream, &mut graph as *mut u64), 901);
        assert_eq!(graph, 0);
    }

    a_call_for_the_whole_context_ends_every_capture() {
        let cuda = Cuda::begin();
        let (stream, event) = (cuda.stream(), cuda.mark(0));
        let (mut mode, mut graph, mut context) = (2_u32, 0_u64, 0_u64);
        ok!(cuda, "cuCtxGetCurrent", &mut context as *mut u64);
        ok!(cuda, "cuThreadExchangeStreamCaptureMode", &mut mode as *mut u32);
        for relaxed in [0, 1, 2] {
            ok!(cuda, "cuStreamBeginCapture_v2", stream, relaxed);
            assert_eq!(call!(cuda, "cuCtxRecordEvent", context, event), 900);
            assert_eq!(call!(cuda, "cuStreamEndCapture", stream, &mut graph as *mut u64), 901);
            ok!(cuda, "cuStreamBeginCapture_v2", stream, relaxed);
            assert_eq!(call!(cuda, "cuCtxSynchronize"), 900);
            assert_eq!(call!(cuda, "cuStreamEndCapture", stream, &mut graph as *mut u64), 901);
        }
        ok!(cuda, "cuCtxRecordEvent", context, event);
    }

    an_event_of_a_context_is_after_the_work_of_all_its_streams("FAKECUDA_TIME_SCALE" = "50") {
        let cuda = Cuda::begin();
        let (spin, streams) = (cuda.function("spin"), [cuda.stream(), cuda.stream(), 0]);
        let mut context = 0_u64;
        ok!(cuda, "cuCtxGetCurrent", &mut context as *mut u64);
        let (start, event) = (cuda.mark(streams[0]), cuda.mark(streams[0]));
        for stream in streams {
            assert_eq!(cuda.launch(spin, stream, &[1_000_000_000]), 0);
        }
        ok!(cuda, "cuCtxRecordEvent", context, event);
        assert_eq!(call!(cuda, "cuEventQuery", event), 600);
        ok!(cuda, "cuEventSynchronize", event);
        for stream in streams {
            ok!(cuda, "cuStreamQuery", stream);
        }
        assert!(cuda.seconds(start, event) > 2.999, "kernels run one after the other");
        assert_eq!(call!(cuda, "cuCtxRecordEvent", context, 5), 400);
        assert_eq!(call!(cuda, "cuCtxRecordEvent", 5, event), 201);
    }

    copies_in_and_out_go_on_at_once_each_at_its_own_rate(
        "FAKECUDA_BYTE_SCALE" = "1024", "FAKECUDA_COPY_GBPS" = "16", "FAKECUDA_COPY_OUT_GBPS" = "8"
    ) {
        const BYTES: u64 = 4 << 20;
        let cuda = Cuda::begin();
        let (a, b) = (cuda.plain(BYTES).unwrap(), cuda.plain(BYTES).unwrap());
        let mut host = [0_u64; 2];
        for at in &mut host {
            ok!(cuda, "cuMemHostAlloc", at as *mut u64, BYTES, 0);
        }
        let (inward, outward) = (cuda.stream(), cuda.stream());
        let starts = [cuda.mark(inward), cuda.mark(outward)];
        ok!(cuda, "cuMemcpyHtoDAsync_v2", a, host[0], BYTES, inward);
        ok!(cuda, "cuMemcpyDtoHAsync_v2", host[1], b, BYTES, outward);
        let ends = [cuda.mark(inward), cuda.mark(outward)];
        cuda.synchronize();
        let both = (BYTES * 1024) as f64;
        let near = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 0.05, "{got} {expected}");
        near(cuda.seconds(starts[0], ends[0]), both / 16e9);
        near(cuda.seconds(starts[1], ends[1]), both / 8e9);
        near(cuda.seconds(starts[0], ends[1]), both / 8e9);
    }

    memory_that_is_not_page_locked_is_copied_at_its_own_rate_until_it_is_registered(
        "FAKECUDA_BYTE_SCALE" = "1024", "FAKECUDA_PAGEABLE_GBPS" = "4"
    ) {
        const BYTES: u64 = 1 << 20;
        let cuda = Cuda::begin();
        let (at, stream, host) = (cuda.plain(BYTES).unwrap(), cuda.stream(), vec![0_u8; BYTES as usize]);
        let copy = || {
            let start = cuda.mark(stream);
            ok!(cuda, "cuMemcpyHtoDAsync_v2", at, host.as_ptr(), BYTES, stream);
            let end = cuda.mark(stream);
            cuda.synchronize();
            cuda.seconds(start, end)
        };
        let simulated = (BYTES * 1024) as f64;
        let near = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 0.1, "{got} {expected}");
        near(copy(), simulated / 4e9);
        ok!(cuda, "cuMemHostRegister_v2", host.as_ptr(), BYTES, 1);
        near(copy(), simulated / 16e9);
        assert_eq!(call!(cuda, "cuMemHostRegister_v2", host.as_ptr() as u64 + 4096, BYTES, 0), 712);
        let mut flags = 0_u32;
        ok!(cuda, "cuMemHostGetFlags", &mut flags as *mut u32, host.as_ptr());
        assert_eq!(flags, 3);
        ok!(cuda, "cuMemHostUnregister", host.as_ptr());
        assert_eq!(call!(cuda, "cuMemHostUnregister", host.as_ptr()), 713);
    }

    managed_memory_is_the_hosts_too_and_known_as_managed() {
        let cuda = Cuda::begin();
        let at = cuda.managed(4096);
        let (mut managed, mut base, mut size) = (0_u32, 0_u64, 0_u64);
        ok!(cuda, "cuPointerGetAttribute", &mut managed as *mut u32, 8, at + 5);
        ok!(cuda, "cuMemGetAddressRange_v2", &mut base as *mut u64, &mut size as *mut u64, at + 5);
        assert_eq!((managed, base, size), (1, at, 4096));
        let fill = cuda.function("fill");
        assert_eq!(cuda.launch(fill, 0, &[at, 3, 1024]), 0);
        cuda.synchronize();
        // SAFETY: managed memory that the driver has given, with nothing under way in it.
        let word = unsafe { (at as *const u32).read_volatile() };
        assert_eq!(word, 3);
    }
}
