#define _GNU_SOURCE
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

void *grab(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) die("out of memory");
    return p;
}

char *expand(const char *pattern, int number) {
    if (!pattern) return NULL;
    const char *place = strstr(pattern, "%d");
    char *text = NULL;
    int rc = place ? asprintf(&text, "%.*s%d%s", (int)(place - pattern), pattern, number, place + 2)
                   : asprintf(&text, "%s", pattern);
    if (rc < 0) die("out of memory");
    return text;
}

void put_hex(uint8_t *to, uint64_t value, int digits) {
    while (digits--) {
        to[digits] = (uint8_t)"0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

bool get_hex(const uint8_t *from, int digits, uint64_t *value) {
    *value = 0;
    for (int i = 0; i < digits; i++) {
        int c = from[i] | 32;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        *value = *value << 4 | (uint64_t)digit;
    }
    return true;
}

uint8_t *buffer_reserve(Buffer *b, size_t n) {
    if (b->start + b->length + n > b->capacity) {
        if (b->length) memmove(b->bytes, b->bytes + b->start, b->length);
        b->start = 0;
    }
    if (b->length + n > b->capacity) {
        size_t capacity = (b->length + n) * 2;
        b->capacity = capacity < 512 ? 512 : capacity;
        b->bytes = realloc(b->bytes, b->capacity);
        if (!b->bytes) die("out of memory");
    }
    return b->bytes + b->start + b->length;
}

void buffer_add(Buffer *b, const void *from, size_t n) {
    memcpy(buffer_reserve(b, n), from, n);
    b->length += n;
}

void buffer_drop(Buffer *b, size_t n) {
    b->start += n;
    b->length -= n;
    if (!b->length) b->start = 0;
}

double own_cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

int raise_file_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) return 0;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return (int)files.rlim_cur;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void print_quantiles(const char *name, uint32_t *us, uint64_t n) {
    if (!n) return;
    qsort(us, n, sizeof *us, ascending);
    double last = (double)(n - 1);
    printf(",\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,\"max\":%.3f}", name, us[(uint64_t)(last * 0.5)] * 1e-3,
           us[(uint64_t)(last * 0.99)] * 1e-3, us[(uint64_t)(last * 0.999)] * 1e-3, us[n - 1] * 1e-3);
}
