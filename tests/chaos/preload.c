// Loaded in front of a process's C library (LD_PRELOAD) by ./chaos: turns its clocks and breaks its disk while it runs, as
// a page of memory says that both sides have mapped. Decides nothing; without BERTH_CHAOS_CONTROL it changes nothing.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// The same order as in preload.rs; each number is 8 bytes, in the machine's own order.
struct control {
    volatile int64_t sequence;    // odd while the numbers below are being written
    volatile int64_t base;        // the boot clock's nanoseconds when this rate began
    volatile int64_t shift;       // by how much all clocks were ahead then, in nanoseconds
    volatile int64_t rate;        // how much faster they run since, in parts per billion
    volatile int64_t wall;        // by how much the wall clock alone is ahead, in nanoseconds
    volatile int64_t fsync_error; // errno of every fsync; 0: none
    volatile int64_t fsync_ms;    // how much longer each takes, in milliseconds
};

static const struct control *control;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("BERTH_CHAOS_CONTROL");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) control = page;
}

static int64_t nanos(const struct timespec *time) { return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec; }

int clock_gettime(clockid_t id, struct timespec *out) {
    if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock(id, out);
    const struct control *told = control;
    if (failed || !told || id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID) return failed;
    struct timespec boot;
    if (real_clock(CLOCK_BOOTTIME, &boot)) return -1;
    int64_t sequence, ahead;
    do {
        sequence = told->sequence;
        __sync_synchronize();
        __int128 since = nanos(&boot) - told->base;
        ahead = told->shift + (int64_t)(since * told->rate / 1000000000);
        if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) ahead += told->wall;
        __sync_synchronize();
    } while (sequence & 1 || sequence != told->sequence);
    int64_t turned = nanos(out) + ahead;
    out->tv_sec = turned / 1000000000;
    out->tv_nsec = turned % 1000000000;
    return 0;
}

static int synced(int (*real)(int), int file) {
    if (control && control->fsync_ms) {
        struct timespec wait = {control->fsync_ms / 1000, control->fsync_ms % 1000 * 1000000};
        nanosleep(&wait, NULL);
    }
    if (control && control->fsync_error) {
        errno = (int)control->fsync_error;
        return -1;
    }
    return real(file);
}

int fsync(int file) { return synced(real_fsync, file); }

int fdatasync(int file) { return synced(real_fdatasync, file); }
