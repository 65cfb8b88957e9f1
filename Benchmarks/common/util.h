/* Helpers of mqttload, mqttcrowd and coapcrowd: time, memory, text, buffers. */
#ifndef UTIL_H
#define UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t now_ns(void);
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
void *grab(size_t count, size_t size); /* zeroed, or die */
char *expand(const char *pattern, int number); /* "node-%d", 7 -> "node-7"; NULL stays NULL */
void put_hex(uint8_t *to, uint64_t value, int digits);
bool get_hex(const uint8_t *from, int digits, uint64_t *value);

typedef struct {
    uint8_t *bytes;
    size_t start, length, capacity; /* live: bytes[start .. start + length) */
} Buffer;

uint8_t *buffer_reserve(Buffer *b, size_t n); /* room for n bytes behind the live ones */
void buffer_add(Buffer *b, const void *from, size_t n);
void buffer_drop(Buffer *b, size_t n); /* from the front */
double own_cpu_seconds(void);
int raise_file_limit(void); /* how many files may be open now */
void print_quantiles(const char *name, uint32_t *us, uint64_t n); /* sorts; prints ,"name":{...} in ms, nothing if n is 0 */

#endif
