// For Slurm's cgroup/v2 on a host whose controllers belong to control groups of version 1: /proc/PID/cgroup has a line for each
// hierarchy there, and Slurm wants to see that of version 2 alone. Devices need no controller in version 2.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int is_cgroup(const char *path) {
    size_t length = strlen(path);
    return !strncmp(path, "/proc/", 6) && length > 7 && !strcmp(path + length - 7, "/cgroup");
}

// The lines of version 2, in a file of its own.
static int filtered(const char *path) {
    FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
    FILE *all = real(path, "r");
    char line[4096];
    if (!all) return -1;
    int fd = memfd_create("cgroup", MFD_CLOEXEC);
    while (fgets(line, sizeof line, all))
        if (!strncmp(line, "0::", 3) && write(fd, line, strlen(line)) < 0) break;
    fclose(all);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

#define FOPEN(name)                                                            \
    FILE *name(const char *path, const char *mode) {                           \
        FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, #name);   \
        if (!is_cgroup(path)) return real(path, mode);                         \
        int fd = filtered(path);                                               \
        return fd < 0 ? NULL : fdopen(fd, "r");                                \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...) {                               \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);         \
        va_list more;                                                          \
        va_start(more, flags);                                                 \
        mode_t mode = va_arg(more, mode_t);                                    \
        va_end(more);                                                          \
        return is_cgroup(path) ? filtered(path) : real(path, flags, mode);     \
    }
OPEN(open)
OPEN(open64)
