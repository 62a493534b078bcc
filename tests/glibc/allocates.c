/* Allocates before and after it uses the driver, in two threads, and looks names up that there are not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *works(void *driver) {
    for (int i = 1; i < 200; i++) {
        char *memory = malloc(i * 97);
        memset(memory, i, i * 97);
        free(memory);
    }
    static const char *const names[] = {"no_such_symbol", "cuNoSuchFunction", "curl_easy_init", "cuInit", "c", ""};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!dlsym(RTLD_DEFAULT, names[i]) && !dlerror()) printf("%s: nothing is said\n", names[i]);
    int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
    if (!init || init(0)) puts("cuInit fails");
    return NULL;
}

int main(void) {
    pthread_t thread;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver) return puts(dlerror()), 1;
    pthread_create(&thread, NULL, works, driver);
    works(driver);
    pthread_join(thread, NULL);
    puts("right");
    return 0;
}
