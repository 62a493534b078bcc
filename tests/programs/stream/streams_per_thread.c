// As streams_legacy.c, where stream 0 is each thread's own.
#define CUDA_API_PER_THREAD_DEFAULT_STREAM
#include "streams_legacy.c"
