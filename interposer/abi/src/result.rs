//! The driver's status.

/// What a driver call returns.
///
/// A plain integer and never a Rust `enum`: a newer driver may return a code that has no name here, and an
/// `enum` with an unknown value is undefined behaviour.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CUresult(pub u32);

macro_rules! results {
    ($($name:ident = $code:literal;)*) => {
        impl CUresult {
            $(#[doc = concat!("`CUDA_", stringify!($name), "` of `cuda.h`.")] pub const $name: Self = Self($code);)*

            /// The name in `cuda.h` without `CUDA_`, for the codes that have one here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($code => Some(stringify!($name)),)* _ => None }
            }
        }

        /// Every named code, for those who check the names against `cuda.h`.
        pub const RESULTS: &[(&str, u32)] = &[$((stringify!($name), $code)),*];
    };
}

results! {
    SUCCESS = 0;
    ERROR_INVALID_VALUE = 1;
    ERROR_OUT_OF_MEMORY = 2;
    ERROR_NOT_INITIALIZED = 3;
    ERROR_DEINITIALIZED = 4;
    ERROR_NO_DEVICE = 100;
    ERROR_INVALID_DEVICE = 101;
    ERROR_INVALID_IMAGE = 200;
    ERROR_INVALID_CONTEXT = 201;
    ERROR_NO_BINARY_FOR_GPU = 209;
    ERROR_INVALID_PTX = 218;
    ERROR_FILE_NOT_FOUND = 301;
    ERROR_OPERATING_SYSTEM = 304;
    ERROR_INVALID_HANDLE = 400;
    ERROR_NOT_FOUND = 500;
    ERROR_NOT_READY = 600;
    ERROR_ILLEGAL_ADDRESS = 700;
    ERROR_PEER_ACCESS_ALREADY_ENABLED = 704;
    ERROR_PEER_ACCESS_NOT_ENABLED = 705;
    ERROR_CONTEXT_IS_DESTROYED = 709;
    ERROR_HOST_MEMORY_ALREADY_REGISTERED = 712;
    ERROR_HOST_MEMORY_NOT_REGISTERED = 713;
    ERROR_LAUNCH_FAILED = 719;
    ERROR_NOT_PERMITTED = 800;
    ERROR_NOT_SUPPORTED = 801;
    ERROR_SYSTEM_NOT_READY = 802;
    ERROR_STREAM_CAPTURE_UNSUPPORTED = 900;
    ERROR_STREAM_CAPTURE_INVALIDATED = 901;
    ERROR_STREAM_CAPTURE_MERGE = 902;
    ERROR_STREAM_CAPTURE_UNMATCHED = 903;
    ERROR_STREAM_CAPTURE_UNJOINED = 904;
    ERROR_STREAM_CAPTURE_ISOLATION = 905;
    ERROR_STREAM_CAPTURE_IMPLICIT = 906;
    ERROR_CAPTURED_EVENT = 907;
    ERROR_STREAM_CAPTURE_WRONG_THREAD = 908;
    ERROR_UNKNOWN = 999;
}

impl CUresult {
    /// Whether the call did what it was asked to.
    pub const fn is_ok(self) -> bool {
        self.0 == Self::SUCCESS.0
    }

    /// The same as a `Result`.
    ///
    /// # Errors
    /// Every code but `SUCCESS`.
    pub const fn ok(self) -> Result<(), Self> {
        if self.is_ok() { Ok(()) } else { Err(self) }
    }
}

impl core::fmt::Debug for CUresult {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "CUDA_{name} ({})", self.0),
            None => write!(f, "CUresult({})", self.0),
        }
    }
}
