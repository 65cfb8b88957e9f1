/*
 * mqttcrowd - many MQTT clients of one broker (3.1.1 and 5.0, TCP and TLS-PSK, epoll, one thread).
 *
 * mqttload follows messages through a gateway to the broker behind it. This one has all clients on one broker: some
 * publish, some subscribe, and a crowd only sits there, with subscriptions or without.
 *
 *   mqttcrowd --port P [options]
 *
 * Clients
 *   --host H --port P    the broker under test (127.0.0.1), plain TCP
 *   --publishers N       (0)  client id pub-%d, topic --topic
 *   --subscribers N      (0)  client id sub-%d, each subscribes to --filter and gets every message
 *   --crowd N            (0)  client id --crowd-id, publishes nothing
 *   --filters M          subscriptions of each of the crowd (0), all different: %d of --crowd-filter is a running number
 *   --tls-port P         the crowd connects here, with TLS and a pre-shared key
 *   --psk-identity PAT --psk-key HEX   its identity, %d as above (node-%d), and the one key of all
 *   --tls 1.2|1.3        (best)
 *   --crowd-id PAT       (node-%d)     --crowd-filter PAT  (u/%d/x)
 *   --persist            clean session = 0 for the crowd (5.0: it expires after an hour)
 *   --addresses A        connect from 127.0.0.1 to 127.0.0.A in turn (1)
 *   --connect-burst N    connections being opened at one time (100)
 *   --protocol 4|5       3.1.1 or 5.0 (4)
 *
 * A run
 *   --topic PAT --filter F   %d: the publisher's number (s/pub-%d/t, s/#)
 *   --topics K           each publisher has K topics, --topic with /0 to /K-1 behind it, and takes them in turn (1: without)
 *   --qos 0|1|2          of publisher and subscription (1); at QoS 2 all four packets, both ways
 *   --messages M         in total (1000)
 *   --size B             payload bytes, at least 9 (64)
 *   --window W           unacknowledged messages of a publisher (20); a smaller Receive Maximum of the broker goes first
 *   --outstanding O      at most O messages sent and not delivered to all subscribers (1000); what stays away for 2 s is
 *                        written off
 *   --rate R             messages a second (0: no limit)
 *   --idle S             end after S seconds without progress (5)     --timeout S  (120)
 *   --storm              instead: all connections of the crowd are reset at once and opened again at once, while one more
 *                        client, plain, sends itself a QoS 1 message each 5 ms
 *   --tls-floor N        no broker: what each of N idle TLS-PSK connections needs in a server, in OpenSSL alone
 *
 * CONTROL stderr: {"event":"ready",...} once all are connected and subscribed. Each line on standard input starts a run, whose
 * result is one JSON line on stdout; the end of standard input ends the program. --once: one run at once, then the end.
 *
 *   sent, acked          acked: PUBACK or PUBCOMP seen, or at QoS 0 written
 *   delivered            to each subscriber once;  duplicates: more than once;  lost: acked, but not delivered
 *   ack_rate, e2e_rate   acknowledged and delivered a second
 *   lat_ms, ack_ms       to each subscriber, to the PUBACK or PUBCOMP
 *   granted_qos          the least that a subscriber got;  refused: acknowledgements with a reason of 0x80 or more
 *   back_s, back_ms      storm: until all had their CONNACK again; each of them
 *   failures             storm: connections refused or closed before, and tried again after 200 ms
 *   calm, storm          of the client beside the storm: from PUBLISH until both PUBACK and message are back. late_ms: how late
 *                        its own clock woke it, the machine's share of that
 * EXIT 0, 2 usage or set-up.
 */
#include "crowd.h"

#include <stdio.h>
#include <signal.h>

static void run(void) {
    if (opt.storm) storm_run();
    else if (opt.publishers) flow_run();
    else printf("{\"connections\":%d}\n", links_up);
    fflush(stdout);
}

static void open_all(void) {
    uint64_t began = now_ns();
    while (links_up < link_count) {
        links_step(1);
        if ((double)(now_ns() - began) * 1e-9 > opt.timeout) die("%d of %d connected, %d failed", links_up, link_count, links_failed);
    }
    fprintf(stderr, "{\"event\":\"ready\",\"connections\":%d,\"open_s\":%.3f,\"failures\":%d,\"tls\":\"%s\"}\n", links_up,
            (double)(now_ns() - began) * 1e-9, links_failed, tls_version);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN); /* SSL_write knows no MSG_NOSIGNAL */
    if (opt.tls_floor) {
        floor_print(opt.tls_floor);
        return 0;
    }
    int files = raise_file_limit(), clients = opt.crowd + opt.subscribers + opt.publishers;
    if (files < clients + 16) die("%d files may be open, %d are needed", files, clients + 16);
    links_create();
    open_all();
    if (opt.storm) canary_start();
    if (opt.once) {
        run();
        return 0;
    }
    while (!input_ended || commands) {
        if (commands) {
            commands--;
            run();
        }
        links_step(20);
    }
    return 0;
}
