/* MQTT 3.1.1 and 5.0 packets: those that are sent, and what those that arrive mean. */
#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int granted_qos = 3;

static int v5(void) { return opt.protocol == 5; }

/* ------------------------------------------------------------------------- out */

static uint8_t *put_header(Buffer *b, uint8_t first, uint32_t remaining) {
    uint8_t *start = buffer_reserve(b, 5u + remaining), *p = start;
    *p++ = first;
    uint32_t rest = remaining;
    do {
        uint8_t digit = rest & 127;
        rest >>= 7;
        *p++ = rest ? digit | 128 : digit;
    } while (rest);
    b->length += (size_t)(p - start) + remaining;
    return p;
}

static uint8_t *put_u16(uint8_t *p, unsigned value) {
    *p++ = (uint8_t)(value >> 8);
    *p++ = (uint8_t)value;
    return p;
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t n) {
    p = put_u16(p, (unsigned)n);
    memcpy(p, text, n);
    return p + n;
}

void send_connect(Link *l) {
    static const char *const ids[] = { NULL, "sub-%d", "pub-%d" };
    char *id = expand(l->role == CROWD ? opt.crowd_id : ids[l->role], l->index);
    size_t n = strlen(id);
    bool keep = opt.persist && l->role == CROWD;
    size_t properties = !v5() ? 0 : keep ? 6 : 1;
    uint8_t *p = put_text(put_header(&l->out, 0x10, (uint32_t)(12 + properties + n)), "MQTT", 4);
    *p++ = (uint8_t)opt.protocol;
    *p++ = keep ? 0 : 2;
    p = put_u16(p, KEEPALIVE_S);
    if (properties == 6) memcpy(p, "\x05\x11\x00\x00\x0e\x10", 6); /* Session Expiry Interval: 3600 s */
    else if (properties) *p = 0;
    put_text(p + properties, id, n);
    free(id);
    want_flush(l);
}

static void send_subscribe(Link *l) {
    int count = l->role == CROWD ? opt.filters : 1;
    char *filters[count];
    size_t body = 2u + (v5() ? 1u : 0u);
    for (int i = 0; i < count; i++) {
        filters[i] = l->role == CROWD ? expand(opt.crowd_filter, l->index * count + i) : expand(opt.filter, l->index);
        body += 3 + strlen(filters[i]);
    }
    uint8_t *p = put_u16(put_header(&l->out, 0x82, (uint32_t)body), 1);
    if (v5()) *p++ = 0;
    for (int i = 0; i < count; i++) {
        p = put_text(p, filters[i], strlen(filters[i]));
        *p++ = (uint8_t)opt.qos;
        free(filters[i]);
    }
    want_flush(l);
}

void send_publish(Link *l, uint32_t message, uint16_t id, uint64_t now) {
    const char *name = l->topics[message % (uint32_t)opt.topics];
    size_t topic = strlen(name), n = (size_t)opt.size;
    size_t extra = (opt.qos ? 2u : 0u) + (v5() ? 1u : 0u);
    uint8_t *p = put_header(&l->out, (uint8_t)(0x30 | opt.qos << 1), (uint32_t)(2 + topic + extra + n));
    p = put_text(p, name, topic);
    if (opt.qos) p = put_u16(p, id);
    if (v5()) *p++ = 0;
    memset(p, '.', n);
    p[0] = '#';
    put_hex(p + 1, flow_number(message), 8);
    if (n >= 26) {
        p[9] = '@';
        put_hex(p + 10, now, 16);
    }
    want_flush(l);
}

static void send_ack(Link *l, uint8_t first, const uint8_t *id) {
    buffer_add(&l->out, (uint8_t[]){ first, 2, id[0], id[1] }, 4);
    want_flush(l);
}

/* -------------------------------------------------------------------------- in */

/* A variable byte integer of the n bytes at p; how many it took, 0 if it is not whole. */
static uint32_t take_integer(const uint8_t *p, uint32_t n, uint32_t *value) {
    *value = 0;
    for (uint32_t i = 0; i < 4 && i < n; i++) {
        *value |= (uint32_t)(p[i] & 127) << 7 * i;
        if (!(p[i] & 128)) return i + 1;
    }
    return 0;
}

/* The broker's Receive Maximum, if the properties of its CONNACK name one. */
static void read_receive_maximum(Link *l, const uint8_t *p, uint32_t n) {
    uint32_t length, used = take_integer(p, n, &length);
    if (!used || length > n - used) return;
    const uint8_t *end = p + used + length;
    for (p += used; p < end;) {
        uint8_t identifier = *p++;
        size_t left = (size_t)(end - p), size;
        switch (identifier) {
        case 0x21:
            if (left >= 2 && (p[0] << 8 | p[1]) < l->window) l->window = (uint16_t)(p[0] << 8 | p[1]);
            return;
        case 0x11: case 0x27: size = 4; break;
        case 0x13: case 0x22: size = 2; break;
        case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a: size = 1; break;
        case 0x12: case 0x15: case 0x16: case 0x1a: case 0x1c: case 0x1f:
            size = left < 2 ? left + 1 : 2u + (size_t)(p[0] << 8 | p[1]);
            break;
        default: return; /* a user property: what is wanted comes before it in all brokers seen */
        }
        if (size > left) return;
        p += size;
    }
}

static void is_up(Link *l) {
    l->state = UP;
    links_opening--;
    links_up++;
}

static bool on_connack(Link *l, const uint8_t *body, uint32_t n, uint64_t now) {
    if (n < 2 || l->state != WAIT_CONNACK) return false;
    if (body[1]) {
        link_fail(l, "refused by CONNACK");
        return true;
    }
    if (v5()) read_receive_maximum(l, body + 2, n - 2);
    if (l->role == CROWD) storm_connected(now);
    if (l->role == SUBSCRIBER || (l->role == CROWD && opt.filters)) {
        l->state = WAIT_SUBACK;
        send_subscribe(l);
    } else {
        is_up(l);
    }
    return true;
}

static bool on_suback(Link *l, const uint8_t *body, uint32_t n) {
    uint32_t count = l->role == CROWD ? (uint32_t)opt.filters : 1;
    if (n < 2 + count || l->state != WAIT_SUBACK) return false;
    for (const uint8_t *code = body + n - count; code < body + n; code++) {
        if (*code & 0x80) die("subscription of client %d refused", l->index);
        if (l->role == SUBSCRIBER && *code < granted_qos) granted_qos = *code;
    }
    is_up(l);
    return true;
}

static bool on_publish(Link *l, uint8_t first, const uint8_t *body, uint32_t n, uint64_t now) {
    int qos = first >> 1 & 3;
    if (n < 2 || qos > 2) return false;
    uint32_t payload = 2u + ((uint32_t)body[0] << 8 | body[1]) + (qos ? 2u : 0u), properties, used;
    if (payload > n) return false;
    const uint8_t *id = body + payload - 2;
    if (v5()) {
        used = take_integer(body + payload, n - payload, &properties);
        if (!used || properties > n - payload - used) return false;
        payload += used + properties;
    }
    if (qos) send_ack(l, qos == 1 ? 0x40 : 0x50, id);
    if (l->role != SUBSCRIBER) return true;
    if (qos == 2) flow_halfway(1);
    flow_arrived(l, body + payload, n - payload, now);
    return true;
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP. */
static bool on_ack(Link *l, int type, const uint8_t *body, uint32_t n, uint64_t now) {
    if (n < 2) return false;
    if (type == 6) {
        if (l->role == SUBSCRIBER) flow_halfway(-1);
        send_ack(l, 0x70, body);
        return true;
    }
    if (l->role != PUBLISHER || !opt.qos || (type == 4) != (opt.qos == 1)) return false;
    bool refused = n > 2 && body[2] & 0x80;
    if (refused) flow_refused();
    if (type == 5 && !refused) send_ack(l, 0x62, body);
    else flow_acked(l, (unsigned)body[0] << 8 | body[1], now);
    return true;
}

/* False: protocol error. */
static bool on_packet(Link *l, uint8_t first, const uint8_t *body, uint32_t n, uint64_t now) {
    switch (first >> 4) {
    case 2: return on_connack(l, body, n, now);
    case 3: return on_publish(l, first, body, n, now);
    case 4: case 5: case 6: case 7: return on_ack(l, first >> 4, body, n, now);
    case 9: return on_suback(l, body, n);
    case 14:
        fprintf(stderr, "mqttcrowd: DISCONNECT, reason 0x%02x\n", n ? body[0] : 0);
        return true;
    default: return false;
    }
}

long take_packets(Link *l, const uint8_t *bytes, size_t n, uint64_t now) {
    size_t used = 0;
    while (n - used >= 2) {
        size_t left = n - used - 1;
        uint32_t remaining, digits = take_integer(bytes + used + 1, left > 4 ? 4 : (uint32_t)left, &remaining);
        if (!digits && left >= 4) return -1;
        if (!digits || left - digits < remaining) break;
        const uint8_t *body = bytes + used + 1 + digits;
        if (!on_packet(l, bytes[used], body, remaining, now)) return -1;
        if (l->state == DOWN) return (long)n; /* refused; what was read is of no use */
        used += 1 + digits + remaining;
    }
    return (long)used;
}
