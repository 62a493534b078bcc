/* How a program looks functions up, and where it finds them: each line is the same natively and under nvshare, but for
 * the driver's functions, which nvshare answers. RTLD_NEXT is answered by the caller's return address, and whose RUNPATH
 * holds for dlopen and dlmopen is told by it: the library's trampolines before them have to leave it as it is. */
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
    found("by the program's RUNPATH", dlsym(dlopen("libbeside.so", RTLD_NOW), "cuDeviceGetCount"));
    found("the same with its own names first", dlsym(dlopen("libbeside.so", RTLD_NOW | RTLD_DEEPBIND), "cuDeviceGetCount"));
    found("the same in a namespace of its own", dlsym(dlmopen(LM_ID_NEWLM, "libbeside.so", RTLD_NOW), "cuDeviceGetCount"));
    found("another driver", dlsym(dlmopen(LM_ID_NEWLM, "libcuda.so.1", RTLD_NOW), "cuInit"));
    printf("no file: %s\n", dlopen("libnobody.so", RTLD_NOW | RTLD_DEEPBIND) ? "opened" : dlerror());
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver) return puts(dlerror()), 1;
    int (*init)(unsigned) = found("cuInit", dlsym(driver, "cuInit"));
    int (*version)(int *) = found("cuDriverGetVersion", dlsym(driver, "cuDriverGetVersion"));
    int number = 0, began = init(0), told = version(&number);
    printf("cuInit %d, cuDriverGetVersion %d: %d\n", began, told, number);
    return 0;
}
