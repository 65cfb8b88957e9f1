/* A run: who may publish now, and what became of each message at each subscriber. */
#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_OFF_NS = 2000000000 };

static Link **ready; /* ring of the publishers that can go on */
static int ready_head, ready_count;
static bool running;

static uint8_t *seen;      /* a bit for each subscriber and message */
static int64_t *newest_of; /* for each subscriber and publisher: highest number seen */
static uint64_t *sent_ns;
static uint32_t *latency_us, *ack_us; /* in the order of arrival */
static uint32_t first_number;         /* of this run; numbers go on from run to run, so that nothing late is taken for new */

static uint64_t sent, acked, delivered, duplicates, foreign, out_of_order, refused, written_off;
static int64_t halfway;
static uint64_t began_at, last_ack_at, last_seen_at, progress_at;

uint32_t flow_number(uint32_t message) { return first_number + message; }

/* ----------------------------------------------------------------- who may publish */

static bool can_publish(const Link *l) {
    return l->state == UP && l->next < (uint32_t)opt.messages && l->out.length < SEND_SOFT_LIMIT && (!opt.qos || l->free_count);
}

void flow_ready(Link *l) {
    if (!running || l->role != PUBLISHER || l->in_ready || !can_publish(l)) return;
    l->in_ready = true;
    ready[(ready_head + ready_count++) % opt.publishers] = l;
}

static void publish(Link *l, uint64_t now) {
    uint32_t message = l->next;
    uint16_t id = 0;
    l->next += (uint32_t)opt.publishers;
    sent_ns[message] = now;
    sent++;
    if (opt.qos) {
        id = l->free_ids[--l->free_count];
        l->message_of[id - 1] = message;
    } else {
        acked++;
        last_ack_at = now;
    }
    send_publish(l, message, id, now);
}

/* ------------------------------------------------------------------------- ledger */

void flow_acked(Link *l, unsigned id, uint64_t now) {
    if (!id || id > (unsigned)opt.window || l->message_of[id - 1] == NO_MESSAGE) {
        foreign++;
        return;
    }
    ack_us[acked++] = (uint32_t)((now - sent_ns[l->message_of[id - 1]]) / 1000);
    last_ack_at = progress_at = now;
    l->message_of[id - 1] = NO_MESSAGE;
    l->free_ids[l->free_count++] = (uint16_t)id;
    flow_ready(l);
}

void flow_arrived(const Link *l, const uint8_t *payload, size_t n, uint64_t now) {
    uint64_t number;
    if (n != (size_t)opt.size || payload[0] != '#' || !get_hex(payload + 1, 8, &number) || number < first_number ||
        number - first_number >= (uint64_t)opt.messages || !running) {
        foreign++;
        return;
    }
    uint64_t message = number - first_number, bit = (uint64_t)l->index * (uint64_t)opt.messages + message;
    progress_at = last_seen_at = now;
    if (seen[bit / 8] & 1 << bit % 8) {
        duplicates++;
        return;
    }
    seen[bit / 8] |= (uint8_t)(1 << bit % 8);
    int64_t *newest = &newest_of[(uint64_t)l->index * (uint64_t)opt.publishers + message % (uint64_t)opt.publishers];
    if ((int64_t)message < *newest) out_of_order++;
    else *newest = (int64_t)message;
    latency_us[delivered++] = (uint32_t)((now - sent_ns[message]) / 1000);
}

void flow_halfway(int change) { halfway += change; }
void flow_refused(void) { refused++; }

/* ------------------------------------------------------------------------- pacing */

/* How many messages may go now. */
static uint64_t allowance(uint64_t now) {
    uint64_t to = opt.subscribers ? (uint64_t)opt.subscribers : 1, arrived = opt.subscribers ? delivered : acked;
    uint64_t away = sent * to - arrived, open = away > written_off ? away - written_off : 0;
    if (open + to > (uint64_t)opt.outstanding * to && now - progress_at > WRITE_OFF_NS) {
        written_off += open;
        open = 0;
    }
    uint64_t limit = (uint64_t)opt.outstanding * to, allowed = open < limit ? (limit - open) / to : 0;
    if (!opt.rate) return allowed;
    uint64_t due = (uint64_t)((double)(now - began_at) * 1e-9 * (double)opt.rate) + 1;
    uint64_t paced = due > sent ? due - sent : 0;
    return paced < allowed ? paced : allowed;
}

/* Publishes what may go; how many milliseconds to wait for events. */
static int pump(uint64_t now) {
    uint64_t allowed = allowance(now);
    while (allowed && ready_count && links_to_flush() <= link_count / 2 + 1) {
        Link *l = ready[ready_head];
        ready_head = (ready_head + 1) % opt.publishers;
        ready_count--;
        l->in_ready = false;
        for (int i = 0; i < SEND_BURST && allowed && can_publish(l); i++, allowed--) publish(l, now);
        flow_ready(l);
    }
    return allowed && ready_count ? 0 : opt.rate ? 1 : 20;
}

static bool finished(uint64_t now) {
    uint64_t wanted = (uint64_t)opt.messages;
    if (acked >= wanted && delivered >= wanted * (uint64_t)opt.subscribers && halfway <= 0 && !links_to_flush()) return true;
    if ((double)(now - began_at) * 1e-9 > opt.timeout) return true;
    return sent >= wanted && (double)(now - progress_at) * 1e-9 > opt.idle;
}

/* ----------------------------------------------------------------- begin and report */

static void begin(void) {
    size_t messages = (size_t)opt.messages, subscribers = opt.subscribers ? (size_t)opt.subscribers : 1;
    size_t pairs = subscribers * (size_t)opt.publishers;
    if (!ready) {
        ready = grab((size_t)opt.publishers, sizeof *ready);
        seen = grab(messages * subscribers / 8 + 1, 1);
        newest_of = grab(pairs, sizeof *newest_of);
        sent_ns = grab(messages, sizeof *sent_ns);
        latency_us = grab(messages * subscribers, sizeof *latency_us);
        ack_us = grab(messages, sizeof *ack_us);
    } else {
        first_number += (uint32_t)messages;
    }
    memset(seen, 0, messages * subscribers / 8 + 1);
    memset(newest_of, 0xff, pairs * sizeof *newest_of);
    sent = acked = delivered = duplicates = foreign = out_of_order = refused = written_off = 0;
    halfway = ready_head = ready_count = 0;
    last_ack_at = last_seen_at = 0;
    running = true;
    began_at = progress_at = now_ns();
    for (int i = link_count - opt.publishers; i < link_count; i++) {
        Link *l = &links[i];
        l->next = (uint32_t)l->index;
        l->in_ready = false;
        l->free_count = l->window;
        memset(l->message_of, 0xff, (size_t)opt.window * sizeof *l->message_of);
        for (int w = 0; w < l->window; w++) l->free_ids[w] = (uint16_t)(l->window - w);
        flow_ready(l);
    }
}

static double rate(uint64_t n, uint64_t to) { return to > began_at ? (double)n / ((double)(to - began_at) * 1e-9) : 0; }

void flow_run(void) {
    double cpu = own_cpu_seconds();
    begin();
    for (uint64_t now = began_at; !finished(now); now = now_ns()) links_step(pump(now));
    running = false;
    uint64_t expected = acked * (uint64_t)opt.subscribers;
    printf("{\"connections\":%d,\"sent\":%lu,\"acked\":%lu,\"delivered\":%lu,\"duplicates\":%lu,\"lost\":%lu,\"out_of_order\":%lu,"
           "\"foreign\":%lu,\"refused\":%lu,\"granted_qos\":%d,\"ack_rate\":%.0f,\"e2e_rate\":%.0f",
           links_up, sent, acked, delivered, duplicates, expected > delivered ? expected - delivered : 0, out_of_order, foreign,
           refused, granted_qos, rate(acked, last_ack_at), rate(delivered, last_seen_at));
    print_quantiles("lat_ms", latency_us, delivered);
    if (opt.qos) print_quantiles("ack_ms", ack_us, acked);
    printf(",\"self_cpu_s\":%.3f}\n", own_cpu_seconds() - cpu);
}
