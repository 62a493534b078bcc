// A capture in relaxed mode, with another thread beside it, and over the ends of turns.
#include "capture.h"

int main(void) { return capture_in(CU_STREAM_CAPTURE_MODE_RELAXED); }
