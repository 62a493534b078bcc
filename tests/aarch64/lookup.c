/* How a program looks functions up, and where it finds them: each line is the same natively and under nvshare, but for
 * the driver's functions, which nvshare answers. RTLD_NEXT is answered by the caller's return address, which is what
 * the library's trampoline before dlsym has to leave as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void *found(const char *what, void *address) {
    Dl_info info;
    const char *file = "nowhere";
    if (address && dladdr(address, &info)) {
        file = strrchr(info.dli_fname, '/');
        file = file ? file + 1 : info.dli_fname;
    }
    printf("%s: %s\n", what, file);
    return address;
}

int main(void) {
    found("the next puts", dlsym(RTLD_NEXT, "puts"));
    found("any printf", dlsym(RTLD_DEFAULT, "printf"));
    found("what there is not", dlsym(RTLD_DEFAULT, "no_such_symbol"));
    printf("dlerror %s\n", dlerror() ? "says so" : "is silent");
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver) return puts(dlerror()), 1;
    int (*init)(unsigned) = found("cuInit", dlsym(driver, "cuInit"));
    int (*version)(int *) = found("cuDriverGetVersion", dlsym(driver, "cuDriverGetVersion"));
    int number = 0, began = init(0), told = version(&number);
    printf("cuInit %d, cuDriverGetVersion %d: %d\n", began, told, number);
    return 0;
}
