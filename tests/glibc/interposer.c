/* Another library that stands in for dlsym and passes on what it is asked, as tools that look on do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int asked;

void *dlsym(void *restrict handle, const char *restrict name) {
    static void *(*next)(void *, const char *);
    if (!next) next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    asked |= strcmp(name, "printf") == 0;
    return next(handle, name);
}

__attribute__((destructor)) static void tell(void) { printf("the other library was %s\n", asked ? "asked" : "passed over"); }
