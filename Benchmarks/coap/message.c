/* CoAP messages (RFC 7252 section 3): what a node writes, and what it reads of an answer. */
#include "coap.h"

#include <string.h>

/* ----------------------------------------------------------------- writing */

typedef struct {
    uint8_t *bytes;
    size_t length;
    unsigned last; /* option number */
} Writer;

static void add(Writer *w, const void *from, size_t n) {
    if (w->length + n > MESSAGE_MAX - 16) die("a message is too long");
    memcpy(w->bytes + w->length, from, n);
    w->length += n;
}

static void add_byte(Writer *w, unsigned byte) { add(w, &(uint8_t){ (uint8_t)byte }, 1); }

static unsigned nibble(size_t value) { return value < 13 ? (unsigned)value : value < 269 ? 13 : 14; }

static void add_extended(Writer *w, size_t value) {
    if (value >= 269) add_byte(w, (unsigned)(value - 269) >> 8);
    if (value >= 13) add_byte(w, (unsigned)(value >= 269 ? value - 269 : value - 13) & 255);
}

static void add_option(Writer *w, unsigned number, const void *value, size_t n) {
    unsigned delta = number - w->last;
    w->last = number;
    add_byte(w, nibble(delta) << 4 | nibble(n));
    add_extended(w, delta);
    add_extended(w, n);
    add(w, value, n);
}

/* What an OSCORE node protects: the path, Echo, the payload. */
static void add_inner(Writer *w, const Request *r) {
    for (const char *segment = r->path; *segment;) {
        size_t n = strcspn(segment, "/");
        if (n) add_option(w, OPTION_URI_PATH, segment, n);
        segment += n + (segment[n] == '/');
    }
    if (r->echo_length) add_option(w, OPTION_ECHO, r->echo, r->echo_length);
    if (!r->payload_length) return;
    add_byte(w, 0xff);
    add(w, r->payload, r->payload_length);
}

static void add_header(Writer *w, Type type, uint8_t code, uint16_t id, size_t token_length) {
    add_byte(w, 0x40u | (unsigned)type << 4 | (unsigned)token_length);
    add_byte(w, code);
    add_byte(w, id >> 8);
    add_byte(w, id & 255);
}

size_t write_request(const Request *r, Oscore *o, uint8_t *to) {
    Writer w = { .bytes = to };
    add_header(&w, CON, o ? CODE_POST : r->code, r->id, 4);
    for (int shift = 24; shift >= 0; shift -= 8) add_byte(&w, r->token >> shift & 255);
    if (!o) {
        if (r->observe) add_option(&w, OPTION_OBSERVE, "", 0);
        add_inner(&w, r);
        return w.length;
    }
    uint8_t plain[MESSAGE_MAX], option[32];
    size_t option_length;
    Writer inner = { .bytes = plain };
    add_byte(&inner, r->code);
    add_inner(&inner, r);
    uint8_t sealed[MESSAGE_MAX + 8];
    size_t n = oscore_seal(o, plain, inner.length, sealed, option, &option_length);
    add_option(&w, OPTION_OSCORE, option, option_length);
    add_byte(&w, 0xff);
    add(&w, sealed, n);
    return w.length;
}

size_t write_empty(Type type, uint16_t id, uint8_t *to) {
    Writer w = { .bytes = to };
    add_header(&w, type, 0, id, 0);
    return w.length;
}

/* ----------------------------------------------------------------- reading */

/* A delta or a length with its extension; false: not there. */
static bool extended(const uint8_t **at, const uint8_t *end, unsigned nibble_value, size_t *to) {
    size_t bytes = nibble_value == 13 ? 1 : nibble_value == 14 ? 2 : 0;
    if (nibble_value == 15 || (size_t)(end - *at) < bytes) return false;
    *to = bytes == 2 ? 269u + ((size_t)(*at)[0] << 8 | (*at)[1]) : bytes == 1 ? 13u + (*at)[0] : nibble_value;
    *at += bytes;
    return true;
}

static bool parse_options(const uint8_t *at, const uint8_t *end, Message *to) {
    size_t number = 0;
    while (at < end && *at != 0xff) {
        unsigned first = *at++;
        size_t delta, n;
        if (!extended(&at, end, first >> 4, &delta) || !extended(&at, end, first & 15, &n) || (size_t)(end - at) < n) return false;
        number += delta;
        if (number == OPTION_OBSERVE) to->has_observe = true;
        if (number == OPTION_OSCORE) {
            to->has_oscore = true;
            to->oscore = at;
            to->oscore_length = n;
        }
        if (number == OPTION_ECHO) {
            to->echo = at;
            to->echo_length = n;
        }
        at += n;
    }
    if (at == end) return true;
    to->payload = at + 1;
    to->payload_length = (size_t)(end - at - 1);
    return to->payload_length > 0;
}

bool parse_message(const uint8_t *bytes, size_t n, Message *to) {
    memset(to, 0, sizeof *to);
    unsigned token_length = n ? bytes[0] & 15 : 0;
    if (n < 4 + token_length || bytes[0] >> 6 != 1 || (token_length && token_length != 4)) return false;
    to->type = (Type)(bytes[0] >> 4 & 3);
    to->code = bytes[1];
    to->id = (uint16_t)(bytes[2] << 8 | bytes[3]);
    to->has_token = token_length == 4;
    for (unsigned i = 0; i < token_length; i++) to->token = to->token << 8 | bytes[4 + i];
    return parse_options(bytes + 4 + token_length, bytes + n, to);
}

bool parse_plaintext(const uint8_t *bytes, size_t n, Message *to) {
    if (!n) return false;
    to->code = bytes[0];
    to->payload_length = to->echo_length = 0;
    return parse_options(bytes + 1, bytes + n, to);
}
