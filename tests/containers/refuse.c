/* Runs a program where newer system calls are refused, as on older kernels (ENOSYS) and in sandboxes (EPERM).
 *   refuse ERRNO PROGRAM ARGS... */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REFUSE(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, refused)

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    unsigned refused = SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1]);
    /* The numbers are the same on every architecture: open_tree, move_mount, fsopen, fsconfig, fsmount, fspick,
     * close_range, openat2, faccessat2, mount_setattr. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(428), REFUSE(429), REFUSE(430), REFUSE(431), REFUSE(432), REFUSE(433), REFUSE(436),
        REFUSE(437), REFUSE(439), REFUSE(442),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("refuse");
        return 2;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
