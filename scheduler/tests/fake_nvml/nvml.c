/* A libnvidia-ml.so.1 that says what the file beside it says (its own path and ".says"), read anew at every question:
 *   device UUID / instance UUID      a GPU; a MIG instance of the GPU above it
 *   total BYTES / reserved BYTES / used BYTES      the memory of the GPU or instance above it; without total, it does
 *                                                  not tell
 *   bus ID / busy PER CENT           where the GPU above it is, and how much of the time somebody computes on it; without
 *                                    them, it does not tell
 *   lost REASON                      a GPU that does not answer
 *   compute PID BYTES / graphics PID BYTES      a process on the GPU or instance above it
 * Openings and closings are appended to its own path and ".log", where it may write.
 * Types and values as in nvml.h of NVIDIA's NVML API, version 12. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15, UNKNOWN = 999 };
enum { MOST = 16 };

typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} Process;

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} Memory;

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
} Pci;

typedef struct {
    unsigned gpu, memory;
} Utilization;

typedef struct {
    char uuid[80];
    int parent; /* -1: a GPU */
    int lost;
    unsigned long long total, reserved, used;
    char bus[32];
    int busy; /* -1: it does not tell */
    int count[2];
    Process processes[2][MOST];
} Part;

static Part parts[MOST];
static int count;

static FILE *beside(const char *suffix, const char *mode) {
    Dl_info self;
    char path[4096];
    if (!dladdr((void *)beside, &self)) return NULL;
    snprintf(path, sizeof path, "%s%s", self.dli_fname, suffix);
    return fopen(path, mode);
}

static int read_all(void) {
    char word[16], value[80];
    unsigned long long bytes;
    int gpu = -1;
    FILE *file = beside(".says", "r");
    if (!file) return UNKNOWN;
    count = 0;
    while (fscanf(file, "%15s %79s", word, value) == 2) {
        if (!strcmp(word, "device") || !strcmp(word, "instance")) {
            Part *part = &parts[count++];
            memset(part, 0, sizeof *part);
            strcpy(part->uuid, value);
            part->parent = *word == 'i' ? gpu : -1;
            part->busy = -1;
            if (*word == 'd') gpu = count - 1;
        } else if (!strcmp(word, "lost")) {
            Part *part = &parts[count++];
            memset(part, 0, sizeof *part);
            part->parent = -1;
            part->lost = 1;
        } else if (!strcmp(word, "bus")) {
            snprintf(parts[count - 1].bus, sizeof parts[count - 1].bus, "%.31s", value);
        } else if (!strcmp(word, "busy")) {
            parts[count - 1].busy = atoi(value);
        } else if (!strcmp(word, "total") || !strcmp(word, "reserved") || !strcmp(word, "used")) {
            Part *part = &parts[count - 1];
            *(*word == 't' ? &part->total : *word == 'r' ? &part->reserved : &part->used) = strtoull(value, NULL, 10);
        } else {
            Part *part = &parts[count - 1];
            int kind = *word == 'g';
            if (fscanf(file, "%llu", &bytes) != 1) break;
            Process process = { (unsigned)atoi(value), bytes, 0, 0 };
            part->processes[kind][part->count[kind]++] = process;
        }
    }
    fclose(file);
    return SUCCESS;
}

static int note(const char *what) {
    FILE *file = beside(".log", "a");
    if (file) {
        fprintf(file, "%s\n", what);
        fclose(file);
    }
    return SUCCESS;
}

/* A handle is the part's number and one. */
static Part *part(void *handle) {
    return &parts[(size_t)handle - 1];
}

static int nth(int parent, unsigned index, void **handle) {
    for (int i = 0; i < count; i++)
        if (parts[i].parent == parent && index-- == 0) {
            if (parts[i].lost) return GPU_IS_LOST;
            *handle = (void *)(size_t)(i + 1);
            return SUCCESS;
        }
    return parent < 0 ? INVALID_ARGUMENT : NOT_FOUND;
}

static int number_of(int parent) {
    int n = 0;
    for (int i = 0; i < count; i++) n += parts[i].parent == parent;
    return n;
}

int nvmlInit_v2(void) { return note("init"); }
int nvmlShutdown(void) { return note("shutdown"); }

int nvmlDeviceGetCount_v2(unsigned *n) {
    int result = read_all();
    *n = number_of(-1);
    return result;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { return nth(-1, index, handle); }

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    snprintf(uuid, length, "%s", part(handle)->uuid);
    return SUCCESS;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    *current = *pending = number_of((int)(size_t)handle - 1) > 0;
    return *current ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *most) {
    (void)handle;
    *most = 7;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance) {
    return nth((int)(size_t)handle - 1, index, instance);
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, Memory *memory) {
    Part *of = part(handle);
    if (!of->total) return NOT_SUPPORTED;
    memory->total = of->total;
    memory->used = of->used;
    memory->reserved = of->reserved;
    memory->free = of->total - of->reserved - of->used;
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(void *handle, Pci *pci) {
    if (!*part(handle)->bus) return NOT_SUPPORTED;
    memset(pci, 0, sizeof *pci);
    strcpy(pci->bus_id, part(handle)->bus);
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *handle, Utilization *rates) {
    if (part(handle)->busy < 0) return NOT_SUPPORTED;
    rates->gpu = (unsigned)part(handle)->busy;
    rates->memory = 0;
    return SUCCESS;
}

static int running(Part *part, int kind, unsigned *n, Process *processes) {
    unsigned there = part->count[kind], room = *n;
    *n = there;
    if (there == 0) return SUCCESS;
    if (room < there || !processes) return INSUFFICIENT_SIZE;
    memcpy(processes, part->processes[kind], there * sizeof *processes);
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *n, Process *processes) {
    return running(part(handle), 0, n, processes);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *n, Process *processes) {
    return part(handle)->parent < 0 ? running(part(handle), 1, n, processes) : NOT_SUPPORTED;
}
