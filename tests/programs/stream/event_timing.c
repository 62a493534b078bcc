// Events measure the time of work, answer whether they have happened, and order streams.
#include "common.h"

int main(void) {
  CUevent start, end, untimed, never;
  float ms = -1;
  CUstream stream;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuEventCreate(&start, CU_EVENT_DEFAULT));
  DO(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC));
  DO(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
  DO(cuEventCreate(&never, CU_EVENT_DEFAULT));
  DO(spin(stream, 1000));
  for (int round = 0; round < 3; round++) {
    DO(cuEventRecord(start, stream));
    DO(spin(stream, 20000000));
    DO(cuEventRecord(end, stream));
    DO(cuEventSynchronize(end));
    DO(cuEventElapsedTime(&ms, start, end));
    expect(ms >= 19.9 && ms < 2000, "a kernel of 20 ms takes at least as long");
  }
  SAY(cuEventQuery(end));
  SAY(cuEventQuery(never));
  SAY(cuEventElapsedTime(&ms, start, never));
  DO(cuEventRecord(untimed, stream));
  DO(cuEventSynchronize(untimed));
  SAY(cuEventElapsedTime(&ms, start, untimed));
  DO(spin(stream, 200000000));
  DO(cuEventRecord(never, stream));
  SAY(cuEventQuery(never));
  SAY(cuStreamQuery(stream));
  DO(cuStreamSynchronize(stream));
  SAY(cuEventQuery(never));
  SAY(cuStreamQuery(stream));
  SAY(cuEventDestroy(never));
  return finish();
}
