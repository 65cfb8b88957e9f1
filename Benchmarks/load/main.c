/*
 * mqttload - MQTT 3.1.1 load generator and end-to-end meter (plain TCP, epoll, one thread).
 *
 * One process publishes to a gateway over N connections and subscribes on the broker behind it at the same time, so
 * that every message is followed from the send() on one side to its arrival on the other: throughput, losses,
 * duplicates, latency.
 *
 *   mqttload [publisher options] [--sub HOST PORT FILTER [subscriber options]] [run options]
 *
 * Publisher (left out: subscriber only)
 *   --host H             gateway under test (127.0.0.1)
 *   --port P             its port; giving it turns the publisher on
 *   --conns N            connections (1)
 *   --id PAT             client id, the first %d becomes the connection number (node-%d)
 *   --user PAT --pass PAT  user name and password, %d as above (none)
 *   --topic PAT          topic, %d as above (s/node-%d/t)
 *   --qos 0|1            (1)
 *   --messages M         messages in total (1000, or the number of lines)
 *   --size B             payload bytes, at least 9 (64); from 26 bytes the payload also carries its send time
 *   --payload-file F     one payload a line; line i is sent by connection i % N. The meter finds line i again by
 *                        "#%08x" of i in what arrives (the opened text) or by the line itself.
 *   --seal KEYFILE       every connection is a sealed v1 node: the device of KEYFILE ([[device]] tables, as
 *                        `sealgate device import` takes them) that has the connection's client id. It subscribes to its session
 *                        topic, keeps the session IDs that come and spends one on each payload; --size is the data's.
 *   --session-topic PAT  %d as above (nodes/node-%d/sessionID)      --session-qos 0|1  (0)
 *   --window W           unacknowledged QoS 1 messages a connection (20)
 *   --rate R             messages a second over all connections (0: no limit)
 *   --outstanding O      at most O messages sent and not yet delivered (0: no limit; needs --sub; what stays away for
 *                        2 s is written off, so that a lossy path can't stop the run)
 *   --hold S             connect, publish nothing, hold S seconds, end
 *
 * Subscriber
 *   --sub HOST PORT FILTER
 *   --sub-qos 0|1        (as --qos)
 *   --sub-id ID          client id (meter)
 *   --sub-user U --sub-pass P
 *   --persist            clean session = 0 for the subscriber
 *   --expect N           distinct messages to wait for (--messages)
 *
 * Run
 *   --reconnect          lost connections are opened again, unacknowledged messages are sent again with DUP
 *   --connect-burst N    connections being opened at one time (100)
 *   --idle S             end after S seconds without progress (5)
 *   --linger MS          wait for late duplicates after the last message (200)
 *   --timeout S          end after S seconds whatever happens (300)
 *
 * Payload made by --size: "#" and 8 hex digits of the message's number, "@" and 16 hex digits of the send time
 * (CLOCK_MONOTONIC, ns), "." up to the size.
 *
 * OUTPUT  stderr: {"event":"ready",...} once everything is connected and subscribed. stdout: one JSON line at the end.
 *   sent, acked          acked: PUBACK seen (QoS 1) or handed to the kernel (QoS 0)
 *   delivered            distinct messages at the meter;  duplicates: repeats of them
 *   lost                 acked, but never at the meter (subscriber only: expect - delivered)
 *   lost_unacked         sent, neither acked nor seen
 *   out_of_order         arrivals with a lower number than the one before of the same connection
 *   session_ids          session IDs received (--seal)
 *   ack_rate, e2e_rate   a second, from the first send to the last acknowledgement / delivery
 *   lat_ms, ack_ms       end to end, and to the PUBACK
 *   first_s, last_s      first and last delivery, seconds after "ready" (a stored session may deliver before: negative)
 *   self_cpu_s           CPU time of mqttload itself
 * EXIT  0 all messages acked and delivered, 1 something is missing, 2 usage or set-up.
 */
#define _GNU_SOURCE
#include "load.h"

#include <signal.h>
#include <stdio.h>

enum { TICK_NS = 50000000 };

static Connection **ready; /* ring of the connections that can publish */
static int ready_head, ready_count;
static bool started;
static volatile sig_atomic_t stop_signal;

static void on_signal(int number) { stop_signal = number; }

/* ----------------------------------------------------------------- who may publish */

bool can_publish(const Connection *c) {
    return c->state == UP && c->next < (uint32_t)opt.messages && c->out.length < SEND_SOFT_LIMIT &&
           (opt.qos == 0 || c->free_count > 0) && (!c->sealer || c->session_head != c->session_tail);
}

void make_ready(Connection *c) {
    if (!started || opt.hold > 0 || c->is_meter || c->in_ready || !can_publish(c)) return;
    c->in_ready = true;
    ready[(ready_head + ready_count++) % opt.connections] = c;
}

void connection_is_up(Connection *c) {
    c->state = UP;
    connections_opening--;
    connections_up++;
    if (c->is_meter || !started) return;
    send_again(c);
    make_ready(c);
}

static void start_if_all_are_up(uint64_t now) {
    if (started || connections_up < (opt.publish ? opt.connections : 0) + (opt.subscribe ? 1 : 0)) return;
    started = true;
    ledger_ready(now);
    fprintf(stderr, "{\"event\":\"ready\",\"connections\":%d}\n", connections_up);
    for (int i = 0; opt.publish && i < opt.connections; i++) make_ready(&connections[i]);
}

/* ------------------------------------------------------------------------- pacing */

static uint64_t started_at;

/* How many messages may go now. */
static uint64_t allowance(uint64_t now) {
    uint64_t allowed = UINT64_MAX;
    if (opt.rate) {
        uint64_t due = (uint64_t)((double)(now - started_at) * 1e-9 * (double)opt.rate) + 1;
        allowed = due > ledger_sent_count() ? due - ledger_sent_count() : 0;
    }
    if (opt.outstanding) {
        uint64_t open = ledger_open_count(now);
        uint64_t room = (uint64_t)opt.outstanding > open ? (uint64_t)opt.outstanding - open : 0;
        if (room < allowed) allowed = room;
    }
    return allowed;
}

/* Publishes as much as rate, outstanding and windows allow; returns how many milliseconds to wait for events. */
static int pump(uint64_t now) {
    int wait = opt.rate ? 1 : 20;
    if (!started || !ready_count) return wait;
    uint64_t allowed = allowance(now);
    if (allowed) ledger_begin(now);
    while (allowed && ready_count && connections_to_flush() <= opt.connections / 2 + 1) {
        Connection *c = ready[ready_head];
        ready_head = (ready_head + 1) % opt.connections;
        ready_count--;
        c->in_ready = false;
        for (int i = 0; i < SEND_BURST && allowed && can_publish(c); i++, allowed--) publish_next(c, now);
        make_ready(c);
    }
    return allowed && ready_count ? 0 : wait;
}

static bool finished(uint64_t now, uint64_t began) {
    static uint64_t complete_at;
    if (stop_signal || (double)(now - began) * 1e-9 > opt.timeout) return true;
    if (!started) return false;
    if (opt.hold > 0) return (double)(now - started_at) * 1e-9 > opt.hold;
    if (ledger_complete()) {
        if (!complete_at && connections_unflushed()) return false;
        if (!complete_at) complete_at = now;
        return !opt.subscribe || (double)(now - complete_at) * 1e-9 > opt.linger;
    }
    if (opt.rate && ledger_sent_count() < (uint64_t)opt.messages && !opt.key_file) return false;
    return (double)(now - ledger_progress()) * 1e-9 > opt.idle;
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    raise_file_limit();
    ledger_open((uint32_t)(opt.messages > opt.expect ? opt.messages : opt.expect));
    connections_create();
    ready = grab((size_t)opt.connections, sizeof *ready);

    uint64_t began = now_ns(), now = began, next_tick = 0;
    while (!finished(now, began)) {
        bool may_open = connections_untried > 0 && connections_opening < opt.connect_burst;
        if (now >= next_tick || may_open) {
            connections_tick(now);
            next_tick = now + TICK_NS;
        }
        int wait = pump(now);
        connections_flush();
        connections_poll(connections_untried > 0 && wait > 1 ? 1 : wait);
        now = now_ns();
        bool was_started = started;
        start_if_all_are_up(now);
        if (started && !was_started) started_at = now;
    }
    int status = ledger_report(connections_up, started, now);
    connections_goodbye();
    return status;
}
