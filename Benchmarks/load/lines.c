/* --payload-file: one payload a line, found again by its number or, where the gateway does not open it, by itself. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char *text;
static uint32_t *line_start, count;         /* line_start[count] is the end */
static uint64_t *slot_hash;                 /* open addressing; 0: empty */
static uint32_t *slot_line, slot_mask;

static uint64_t hash_of(const void *from, size_t n) { /* FNV-1a */
    uint64_t h = 1469598103934665603u;
    for (const uint8_t *p = from; n--; p++) h = (h ^ *p) * 1099511628211u;
    return h ? h : 1;
}

static void read_all(const char *path, size_t *length) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) die("%s: %s", path, strerror(errno));
    long n = ftell(f);
    rewind(f);
    text = grab((size_t)n + 1, 1);
    if (fread(text, 1, (size_t)n, f) != (size_t)n) die("%s: short read", path);
    fclose(f);
    if (n && text[n - 1] != '\n') text[n++] = '\n';
    *length = (size_t)n;
}

void lines_load(const char *path) {
    size_t length;
    read_all(path, &length);
    for (size_t i = 0; i < length; i++) count += text[i] == '\n';
    line_start = grab(count + 1u, sizeof *line_start);
    uint32_t slots = 4;
    while (slots < count * 2u) slots *= 2;
    slot_mask = slots - 1;
    slot_hash = grab(slots, sizeof *slot_hash);
    slot_line = grab(slots, sizeof *slot_line);
    size_t start = 0;
    for (uint32_t line = 0; line < count; line++) {
        size_t end = (size_t)((char *)memchr(text + start, '\n', length - start) - text);
        uint64_t h = hash_of(text + start, end - start);
        uint32_t slot = (uint32_t)h & slot_mask;
        while (slot_hash[slot]) slot = (slot + 1) & slot_mask;
        slot_hash[slot] = h;
        slot_line[slot] = line;
        line_start[line] = (uint32_t)start;
        start = end + 1;
    }
    line_start[count] = (uint32_t)length;
}

uint32_t lines_count(void) { return count; }

const char *line_at(uint32_t number, uint32_t *length) {
    *length = line_start[number + 1] - line_start[number] - 1;
    return text + line_start[number];
}

bool line_find(const uint8_t *bytes, size_t n, uint64_t *number) {
    if (!count) return false;
    uint64_t h = hash_of(bytes, n);
    for (uint32_t slot = (uint32_t)h & slot_mask; slot_hash[slot]; slot = (slot + 1) & slot_mask) {
        if (slot_hash[slot] != h) continue;
        *number = slot_line[slot];
        return true;
    }
    return false;
}
