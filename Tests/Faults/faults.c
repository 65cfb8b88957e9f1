/* Preloaded into the gateway by a test: fails chosen calls on the files below its state directory.
 *
 * What fails is in a file that the test shares, named by SEALGATE_FAULTS; see struct control. The test counts the calls of a run,
 * then lets each of them fail in turn. Only calls that the gateway and SQLite make by name are seen, which is all of theirs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE = 2, SYNC = 4, TRUNCATE = 8 };

struct control {
    _Atomic uint32_t calls;   /* so far, of the kinds that are looked at */
    _Atomic uint32_t first;   /* the first call that fails; 0: none */
    _Atomic uint32_t count;   /* how many in a row */
    _Atomic uint32_t error;   /* their errno */
    _Atomic uint32_t kinds;   /* those that are looked at */
    _Atomic uint32_t failed;  /* calls that failed, by either way */
    _Atomic uint64_t room;    /* bytes that files may still grow by, then ENOSPC; UINT64_MAX: no end */
};

enum { MOST = 4096 };

static struct control *control;
static _Atomic unsigned char watched[MOST]; /* descriptors of files below the state directory */

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("SEALGATE_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) control = shared;
}

/* Tells the test, in the gateway's log, what failed. */
static void tell(const char *what, int file, const char *path) {
    char name[256] = "", link[32];
    if (!path) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, name, sizeof name - 1);
        if (length > 0) name[length] = 0;
        path = name;
    }
    dprintf(2, "faults.c: call %u failed: %s %s\n", (unsigned)control->calls, what, path);
}

/* The errno for this call; 0 lets it pass. */
static int fault(enum kind kind, const char *what, int file, const char *path) {
    if (!control || !(control->kinds & kind)) return 0;
    uint32_t number = ++control->calls, first = control->first;
    if (!first || number < first || number - first >= control->count) return 0;
    control->failed++;
    tell(what, file, path);
    return (int)control->error;
}

static int is_watched(int file) { return control && file >= 0 && file < MOST && watched[file]; }

static int fail(int error) {
    errno = error;
    return -1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ------------------------------------------------------------------------------------------------------------ open, close */

static int opened(int file, int is_ours) {
    if (file >= 0 && file < MOST) watched[file] = (unsigned char)is_ours;
    return file;
}

#define OPENING(name, ...)                                                      \
    {                                                                                      \
        va_list rest;                                                                      \
        va_start(rest, flags);                                                             \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;            \
        va_end(rest);                                                                      \
        int is_ours = control && strstr(path, "state/") && !(flags & O_DIRECTORY);         \
        int error = is_ours ? fault(OPEN, "open", -1, path) : 0;                                             \
        return error ? fail(error) : opened(NEXT(name)(__VA_ARGS__, flags, mode), is_ours); \
    }

int open(const char *path, int flags, ...) OPENING(open, path)
int open64(const char *path, int flags, ...) OPENING(open64, path)
int openat(int base, const char *path, int flags, ...) OPENING(openat, base, path)
int openat64(int base, const char *path, int flags, ...) OPENING(openat64, base, path)

int close(int file) {
    if (file >= 0 && file < MOST) watched[file] = 0;
    return NEXT(close)(file);
}

/* ----------------------------------------------------------------------------------------------------------------- writing */

/* Like fault(), for a write that ends at `end`. */
static int write_fault(int file, off_t end) {
    int error = fault(WRITE, "write", file, NULL);
    struct stat status;
    if (error || control->room == UINT64_MAX || fstat(file, &status) || end <= status.st_size) return error;
    uint64_t growth = (uint64_t)(end - status.st_size);
    if (growth > control->room) {
        if (!control->failed++) tell("no room for write", file, NULL);
        return ENOSPC;
    }
    control->room -= growth;
    return 0;
}

/* A write that fails may have written a part. */
static ssize_t torn(int file, const void *bytes, size_t count, off_t offset, int error) {
    if (error == EIO && count > 1) {
        ssize_t part = NEXT(pwrite64)(file, bytes, count / 2, offset);
        (void)part;
    }
    return fail(error);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) {
    int error = is_watched(file) ? write_fault(file, offset + (off_t)count) : 0;
    return error ? torn(file, bytes, count, offset, error) : NEXT(pwrite64)(file, bytes, count, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) { return pwrite64(file, bytes, count, offset); }

ssize_t write(int file, const void *bytes, size_t count) {
    int error = is_watched(file) ? write_fault(file, lseek(file, 0, SEEK_CUR) + (off_t)count) : 0;
    return error ? fail(error) : NEXT(write)(file, bytes, count);
}

int fsync(int file) {
    int error = is_watched(file) ? fault(SYNC, "sync", file, NULL) : 0;
    return error ? fail(error) : NEXT(fsync)(file);
}

int fdatasync(int file) {
    int error = is_watched(file) ? fault(SYNC, "sync", file, NULL) : 0;
    return error ? fail(error) : NEXT(fdatasync)(file);
}

int ftruncate64(int file, off_t size) {
    int error = is_watched(file) ? fault(TRUNCATE, "truncate", file, NULL) : 0;
    return error ? fail(error) : NEXT(ftruncate64)(file, size);
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }
