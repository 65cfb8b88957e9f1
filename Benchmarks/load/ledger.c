/* Follows every message by its number: sent, acknowledged by the gateway, seen at the meter; and reports. */
#include "load.h"

#include <stdio.h>
#include <string.h>

enum { SENT = 1, ACKED = 2, SEEN = 4 };
enum { WRITE_OFF_NS = 2000000000 };

static uint8_t *flags;
static uint64_t *first_sent_ns;
static uint32_t *latency_us, *ack_us; /* in the order of arrival */
static int64_t *newest_of;            /* per publishing connection: highest number seen at the meter */
static uint32_t size;

static uint64_t sent, acked, seen, duplicates, foreign, malformed, out_of_order, disconnects, session_ids, written_off;
static uint64_t ready_at, began_at, last_ack_at, first_seen_at, last_seen_at, progress_at;

void ledger_open(uint32_t messages) {
    size = messages;
    flags = grab(size, sizeof *flags);
    first_sent_ns = grab(size, sizeof *first_sent_ns);
    latency_us = grab(size, sizeof *latency_us);
    ack_us = grab(size, sizeof *ack_us);
    newest_of = grab((size_t)opt.connections, sizeof *newest_of);
    memset(newest_of, 0xff, (size_t)opt.connections * sizeof *newest_of);
}

void ledger_sent(uint32_t message, uint64_t now) {
    first_sent_ns[message] = now;
    flags[message] |= SENT;
    sent++;
    if (opt.qos) return;
    flags[message] |= ACKED;
    acked++;
    last_ack_at = now;
}

void ledger_acked(uint32_t message, uint64_t now) {
    flags[message] |= ACKED;
    ack_us[acked++] = (uint32_t)((now - first_sent_ns[message]) / 1000);
    last_ack_at = progress_at = now;
}

/* Number of the message in a payload, and its send time if it carries one; false: not one of ours. */
static bool identify(const uint8_t *payload, size_t n, uint64_t *number, uint64_t *sent_at) {
    const uint8_t *mark = memchr(payload, '#', n < 128 ? n : 128);
    size_t left = mark ? (size_t)(payload + n - mark) : 0;
    *sent_at = 0;
    if (left < 9 || !get_hex(mark + 1, 8, number)) return line_find(payload, n, number) && *number < size;
    if (left < 26 || mark[9] != '@' || !get_hex(mark + 10, 16, sent_at)) *sent_at = 0;
    if (opt.publish && !opt.payload_file && n != (size_t)opt.size) malformed++;
    return *number < size;
}

void ledger_arrived(const uint8_t *payload, size_t n, uint64_t now) {
    uint64_t number, sent_at;
    if (!identify(payload, n, &number, &sent_at)) {
        foreign++;
        return;
    }
    progress_at = last_seen_at = now;
    if (!first_seen_at) first_seen_at = now;
    if (flags[number] & SEEN) {
        duplicates++;
        return;
    }
    flags[number] |= SEEN;
    if (opt.publish) {
        sent_at = first_sent_ns[number];
        int64_t *newest = &newest_of[number % (uint64_t)opt.connections];
        if ((int64_t)number < *newest) out_of_order++;
        else *newest = (int64_t)number;
    }
    latency_us[seen++] = sent_at && sent_at < now ? (uint32_t)((now - sent_at) / 1000) : 0;
}

void ledger_malformed(void) { malformed++; }
void ledger_disconnected(void) { disconnects++; }
void ledger_session_id(void) { session_ids++; }
void ledger_ready(uint64_t now) { ready_at = progress_at = now; }

void ledger_begin(uint64_t now) {
    if (!began_at) began_at = progress_at = now;
}

uint64_t ledger_sent_at(uint32_t message) { return first_sent_ns[message]; }
uint64_t ledger_progress(void) { return progress_at; }
uint64_t ledger_sent_count(void) { return sent; }

uint64_t ledger_open_count(uint64_t now) {
    uint64_t away = sent - seen;
    uint64_t open = away > written_off ? away - written_off : 0;
    if (open >= (uint64_t)opt.outstanding && now - progress_at > WRITE_OFF_NS) {
        written_off += open;
        return 0;
    }
    return open;
}

bool ledger_complete(void) {
    return (!opt.publish || acked >= (uint64_t)opt.messages) && (!opt.subscribe || seen >= (uint64_t)opt.expect);
}

/* ---------------------------------------------------------------------- report */

static double rate(uint64_t n, uint64_t from, uint64_t to) {
    return to > from ? (double)n / ((double)(to - from) * 1e-9) : 0;
}

static double since_ready(uint64_t at) { return (double)(int64_t)(at - ready_at) * 1e-9; }

int ledger_report(int up, bool started, uint64_t now) {
    uint64_t lost = 0, lost_unacked = 0;
    if (!opt.publish && (uint64_t)opt.expect > seen) lost = (uint64_t)opt.expect - seen;
    for (uint32_t i = 0; opt.publish && opt.subscribe && i < size; i++) {
        if (flags[i] & SEEN) continue;
        if (flags[i] & ACKED) lost++;
        else if (flags[i] & SENT) lost_unacked++;
    }
    printf("{\"connections\":%d,\"sent\":%lu,\"acked\":%lu,\"delivered\":%lu,\"duplicates\":%lu,\"lost\":%lu,"
           "\"lost_unacked\":%lu,\"out_of_order\":%lu,\"foreign\":%lu,\"malformed\":%lu,\"disconnects\":%lu",
           up, sent, acked, seen, duplicates, lost, lost_unacked, out_of_order, foreign, malformed, disconnects);
    if (opt.key_file) printf(",\"session_ids\":%lu", session_ids);
    printf(",\"ack_rate\":%.0f,\"e2e_rate\":%.0f", rate(acked, began_at, last_ack_at),
           rate(seen, began_at ? began_at : first_seen_at, last_seen_at));
    print_quantiles("lat_ms", latency_us, seen);
    if (opt.qos) print_quantiles("ack_ms", ack_us, acked);
    if (first_seen_at) printf(",\"first_s\":%.3f,\"last_s\":%.3f", since_ready(first_seen_at), since_ready(last_seen_at));
    printf(",\"run_s\":%.3f,\"self_cpu_s\":%.3f}\n", started ? since_ready(now) : 0, own_cpu_seconds());
    return started && (opt.hold > 0 || ledger_complete()) ? 0 : 1;
}
