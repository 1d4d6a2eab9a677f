/* Loaded before the C library (LD_PRELOAD): fsync and fdatasync of files whose path holds $SLOW_SYNC_FILE take $SLOW_SYNC_MS longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void delay(int file)
{
    const char *name = getenv("SLOW_SYNC_FILE"), *milliseconds = getenv("SLOW_SYNC_MS");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!name || !milliseconds || length < 0) return;
    path[length] = 0;
    if (!strstr(path, name)) return;
    struct timespec pause = {0, atol(milliseconds) * 1000000L};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static int slowly(const char *call, int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    delay(file);
    return real(file);
}

int fsync(int file)
{
    return slowly("fsync", file);
}
int fdatasync(int file)
{
    return slowly("fdatasync", file);
}
