// A stream waits for a word that another stream writes, singly and in a batch.
#include "common.h"

int main(void) {
  CUstream waits, writes;
  CUdeviceptr p, flag;
  unsigned *word;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuStreamCreate(&waits, CU_STREAM_NON_BLOCKING));
  DO(cuStreamCreate(&writes, CU_STREAM_NON_BLOCKING));
  DO(cuMemAllocHost((void **)&word, 4096));
  DO(cuMemHostGetDevicePointer(&flag, word, 0));
  DO(cuMemAlloc(&p, 4 * n));
  for (unsigned round = 1; round <= 10; round++) {
    DO(fill(writes, p, round, n));
    DO(cuStreamWriteValue32(writes, flag, round, CU_STREAM_WRITE_VALUE_DEFAULT));
    DO(cuStreamWaitValue32(waits, flag, round, CU_STREAM_WAIT_VALUE_GEQ));
    DO(add_one(waits, p, n));
    DO(cuStreamSynchronize(waits));
    check_words("a round", p, n, round + 1);
  }
  expect(*word == 10, "the host sees the word");
  CUstreamBatchMemOpParams ops[2] = {
      {.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32, .address = flag, .value = 20}},
      {.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32, .address = flag, .value = 20,
                     .flags = CU_STREAM_WAIT_VALUE_EQ}}};
  DO(cuStreamBatchMemOp(waits, 2, ops, 0));
  DO(cuStreamSynchronize(waits));
  expect(*word == 20, "the host sees the batch's word");
  return finish();
}
