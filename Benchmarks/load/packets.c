/* MQTT 3.1.1 packets: those that are sent, and what those that arrive mean. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

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

void send_connect(Connection *c) {
    char *id = c->is_meter ? expand(opt.sub_id, 0) : expand(opt.id, c->index);
    char *user = c->is_meter ? expand(opt.sub_user, 0) : expand(opt.user, c->index);
    char *password = c->is_meter ? expand(opt.sub_password, 0) : expand(opt.password, c->index);
    size_t id_length = strlen(id), user_length = user ? strlen(user) : 0;
    size_t password_length = password ? strlen(password) : 0;
    bool clean = !(c->is_meter && opt.persist);
    size_t body = 12 + id_length + (user ? 2 + user_length : 0) + (password ? 2 + password_length : 0);
    uint8_t *p = put_text(put_header(&c->out, 0x10, (uint32_t)body), "MQTT", 4);
    *p++ = 4;
    *p++ = (uint8_t)((user ? 0x80 : 0) | (password ? 0x40 : 0) | (clean ? 2 : 0));
    p = put_text(put_u16(p, KEEPALIVE_S), id, id_length);
    if (user) p = put_text(p, user, user_length);
    if (password) put_text(p, password, password_length);
    free(id), free(user), free(password);
    want_flush(c);
}

static void send_subscribe(Connection *c) {
    const char *filter = c->is_meter ? opt.sub_filter : c->session_topic;
    size_t n = strlen(filter);
    uint8_t *p = put_u16(put_header(&c->out, 0x82, (uint32_t)(5 + n)), 1);
    p = put_text(p, filter, n);
    *p = (uint8_t)(c->is_meter ? opt.sub_qos : opt.session_qos);
    want_flush(c);
}

void send_pingreq(Connection *c) {
    buffer_add(&c->out, "\xc0\0", 2);
    want_flush(c);
}

/* "#" number, "@" send time where there is room, then dots. */
static void fill_payload(uint8_t *p, size_t n, uint32_t message) {
    memset(p, '.', n);
    p[0] = '#';
    put_hex(p + 1, message, 8);
    if (n < 26) return;
    p[9] = '@';
    put_hex(p + 10, ledger_sent_at(message), 16);
}

static void seal_payload(Connection *c, uint8_t *to, uint32_t message) {
    static uint8_t data[1 << 16];
    const SessionID *id = &c->session_ids[c->session_head++ % SESSION_QUEUE];
    fill_payload(data, (size_t)opt.size, message);
    sealer_seal(c->sealer, data, (size_t)opt.size, id->text, id->length, to);
}

static void send_publish(Connection *c, uint32_t message, uint16_t id, bool dup) {
    uint32_t n = (uint32_t)opt.size;
    const char *line = opt.payload_file ? line_at(message, &n) : NULL;
    if (c->sealer) n = (uint32_t)sealer_size(c->sealer, (size_t)opt.size);
    uint8_t first = (uint8_t)(0x30 | opt.qos << 1 | (dup ? 8 : 0));
    uint8_t *p = put_header(&c->out, first, 2u + c->topic_length + (opt.qos ? 2u : 0u) + n);
    p = put_text(p, c->topic, c->topic_length);
    if (opt.qos) p = put_u16(p, id);
    if (line) memcpy(p, line, n);
    else if (c->sealer) seal_payload(c, p, message);
    else fill_payload(p, n, message);
    want_flush(c);
}

void publish_next(Connection *c, uint64_t now) {
    uint32_t message = c->next;
    uint16_t id = 0;
    c->next += (uint32_t)opt.connections;
    ledger_sent(message, now);
    if (opt.qos) {
        id = c->free_ids[--c->free_count];
        c->message_of[id - 1] = message;
    }
    send_publish(c, message, id, false);
}

void send_again(Connection *c) {
    for (int id = 1; opt.qos && id <= opt.window; id++)
        if (c->message_of[id - 1] != NO_MESSAGE) send_publish(c, c->message_of[id - 1], (uint16_t)id, true);
}

/* -------------------------------------------------------------------------- in */

static void on_session_id(Connection *c, const uint8_t *text, size_t n) {
    if (!n || n > SESSION_ID_MAX) {
        ledger_malformed();
        return;
    }
    SessionID *newest = &c->session_ids[(c->session_tail + SESSION_QUEUE - 1) % SESSION_QUEUE];
    if (newest->length == n && !memcmp(newest->text, text, n)) return; /* retained and live at once */
    if (c->session_tail - c->session_head == SESSION_QUEUE) c->session_head++;
    SessionID *id = &c->session_ids[c->session_tail++ % SESSION_QUEUE];
    id->length = (uint8_t)n;
    memcpy(id->text, text, n);
    ledger_session_id();
    make_ready(c);
}

static bool on_publish(Connection *c, uint8_t first, const uint8_t *body, uint32_t n, uint64_t now) {
    int qos = first >> 1 & 3;
    if (n < 2 || qos > 1) return false;
    uint32_t payload = 2u + ((uint32_t)body[0] << 8 | body[1]) + (qos ? 2u : 0u);
    if (payload > n) return false;
    if (qos) {
        uint8_t ack[4] = { 0x40, 2, body[payload - 2], body[payload - 1] };
        buffer_add(&c->out, ack, sizeof ack);
        want_flush(c);
    }
    if (c->is_meter) ledger_arrived(body + payload, n - payload, now);
    else if (c->sealer) on_session_id(c, body + payload, n - payload);
    return true;
}

static void on_puback(Connection *c, unsigned id, uint64_t now) {
    if (c->is_meter || !id || id > (unsigned)opt.window || c->message_of[id - 1] == NO_MESSAGE) {
        ledger_malformed();
        return;
    }
    ledger_acked(c->message_of[id - 1], now);
    c->message_of[id - 1] = NO_MESSAGE;
    c->free_ids[c->free_count++] = (uint16_t)id;
    make_ready(c);
}

/* False: protocol error. */
static bool on_packet(Connection *c, uint8_t first, const uint8_t *body, uint32_t n, uint64_t now) {
    switch (first >> 4) {
    case 2: /* CONNACK */
        if (n < 2 || c->state != WAIT_CONNACK) return false;
        if (body[1]) die("connection %s%d refused, code %d", c->is_meter ? "sub " : "", c->index, body[1]);
        if (!c->is_meter && !c->sealer) {
            connection_is_up(c);
            return true;
        }
        c->state = WAIT_SUBACK;
        send_subscribe(c);
        return true;
    case 9: /* SUBACK */
        if (n < 3 || c->state != WAIT_SUBACK) return false;
        if (body[2] & 0x80) die("subscription refused (%s)", c->is_meter ? opt.sub_filter : c->session_topic);
        connection_is_up(c);
        return true;
    case 3:
        return on_publish(c, first, body, n, now);
    case 4: /* PUBACK */
        if (n < 2 || !opt.qos) return false;
        on_puback(c, (unsigned)body[0] << 8 | body[1], now);
        return true;
    case 13: /* PINGRESP */
        return true;
    default:
        return false;
    }
}

long take_packets(Connection *c, const uint8_t *bytes, size_t n, uint64_t now) {
    size_t used = 0;
    while (n - used >= 2) {
        uint32_t remaining = 0, i = 1;
        for (;; i++) {
            if (i == 5) return -1;
            if (used + i >= n) return (long)used;
            remaining |= (uint32_t)(bytes[used + i] & 127) << 7 * (i - 1);
            if (!(bytes[used + i] & 128)) break;
        }
        size_t body = used + i + 1;
        if (n - body < remaining) break;
        if (!on_packet(c, bytes[used], bytes + body, remaining, now)) return -1;
        if (c->state == DOWN || c->state == DEAD) return -1;
        used = body + remaining;
    }
    return (long)used;
}
