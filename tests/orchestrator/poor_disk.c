// Between a process and the C library: below the folder POOR_BELOW the file system lacks what
// POOR_LACKS names: links, sync (of folders), locks (there are none), shared (each process has its
// own). As FAT, some SMB and FUSE, NFS with nolock, and Lustre without flock are.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int below(const char *path) {
    const char *folder = getenv("POOR_BELOW");
    return folder && !strncmp(path, folder, strlen(folder));
}

static int lacks(const char *what) {
    const char *all = getenv("POOR_LACKS");
    return all && strstr(all, what);
}

static int open_below(int file) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

int link(const char *old, const char *new) {
    if (lacks("links") && below(new)) { errno = EPERM; return -1; }
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
    return real(old, new);
}

int linkat(int a, const char *old, int b, const char *new, int flags) {
    if (lacks("links") && below(new)) { errno = EPERM; return -1; }
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    return real(a, old, b, new, flags);
}

int fsync(int file) {
    struct stat status;
    if (lacks("sync") && !fstat(file, &status) && S_ISDIR(status.st_mode) && open_below(file)) {
        errno = EINVAL;
        return -1;
    }
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    return real(file);
}

int flock(int file, int how) {
    if (lacks("locks") && open_below(file)) { errno = ENOSYS; return -1; }
    if (lacks("shared") && open_below(file)) return 0;
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return real(file, how);
}

static int control(const char *name, int file, int command, void *argument) {
    if ((command == F_SETLK || command == F_SETLKW) && open_below(file)) {
        if (lacks("locks")) { errno = ENOLCK; return -1; }
        if (lacks("shared")) return 0;
    }
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    return real(file, command, argument);
}

int fcntl(int file, int command, ...) {
    va_list given;
    va_start(given, command);
    void *argument = va_arg(given, void *);
    va_end(given);
    return control("fcntl", file, command, argument);
}

int fcntl64(int file, int command, ...) {
    va_list given;
    va_start(given, command);
    void *argument = va_arg(given, void *);
    va_end(given);
    return control("fcntl64", file, command, argument);
}
