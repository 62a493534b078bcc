/* Stands for libnvshare.so where only the loading is tested. */
int nvshare_test_marker(void) { return 1; }
