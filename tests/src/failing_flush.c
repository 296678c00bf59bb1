// Loaded in front of a gateway's C library (LD_PRELOAD): as long as the file is there that STORY_FAILING_FLUSH names, a flush of a WAL fails.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int file) {
    const char *told = getenv("STORY_FAILING_FLUSH");
    if (!told || access(told, F_OK)) return 0;
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length < 0) return 0;
    name[length] = 0;
    const char *ending = strrchr(name, '-');
    return ending && !strcmp(ending, "-wal");
}

static int synced(const char *real, int file) {
    if (fails(file)) {
        errno = EIO;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, real))(file);
}

int fsync(int file) { return synced("fsync", file); }

int fdatasync(int file) { return synced("fdatasync", file); }
