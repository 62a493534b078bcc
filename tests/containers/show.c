/* Says in one line a fact how it was started: what the tests look for. Needs no shell beside it.
 *   show            the facts
 *   show wait       the facts, then waits for a signal
 *   show serve PATH listens on a socket with mode 0666 and closes every connection */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int address(struct sockaddr_un *to, const char *path) {
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    snprintf(to->sun_path, sizeof to->sun_path, "%s", path);
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int serve(const char *path) {
    struct sockaddr_un at;
    int listener = address(&at, path);
    unlink(path);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || chmod(path, 0666) || listen(listener, 16)) {
        perror(path);
        return 1;
    }
    for (;;) close(accept(listener, 0, 0));
}

static void variable(const char *name) {
    const char *value = getenv(name);
    printf("%s=%s\n", name, value ? value : "-");
}

int main(int argc, char **argv) {
    char line[4096];
    int loaded = 0;
    FILE *maps;
    if (argc == 3 && !strcmp(argv[1], "serve")) return serve(argv[2]);
    variable("LD_PRELOAD");
    variable("NVSHARE_SOCKET");
    variable("NVSHARE_MEM_LIMIT");
    variable("NVSHARE_WEIGHT");
    variable("NVSHARE_PRIORITY");
    variable("NVSHARE_TIME_SHARE");
    variable("NVSHARE_GANG");
    maps = fopen("/dev/nvshare/policy", "r");
    while (maps && fgets(line, sizeof line, maps)) printf("policy:%s", line);
    if (maps) fclose(maps);
    printf("uid=%d\n", (int)geteuid());
    maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "libnvshare.so") && strstr(line, "r-xp")) loaded++;
    printf("loaded=%d\n", loaded);
    if (getenv("NVSHARE_SOCKET") || !access("/dev/nvshare/run/scheduler.sock", F_OK)) {
        const char *path = getenv("NVSHARE_SOCKET");
        struct sockaddr_un to;
        int s = address(&to, path ? path : "/dev/nvshare/run/scheduler.sock");
        printf("connect=%s\n", connect(s, (struct sockaddr *)&to, sizeof to) ? "failed" : "ok");
    } else {
        printf("connect=-\n");
    }
    fflush(stdout);
    if (argc == 2 && !strcmp(argv[1], "wait")) {
        fclose(stdout);
        pause();
    }
    return 0;
}
