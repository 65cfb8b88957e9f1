#define _GNU_SOURCE
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("mqttload: ", stderr);
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
