/*
 * coapcrowd - many CoAP nodes of one server (RFC 7252; UDP, DTLS-PSK, OSCORE; epoll, one thread).
 *
 * Each node has a UDP socket of its own and one Confirmable request under way (NSTART 1), sent again after 2 to 3 s, doubled,
 * four times. Its answer may come in the acknowledgement or apart.
 *
 *   coapcrowd --port P [options]
 *
 * Nodes
 *   --host H --port P    the server under test (127.0.0.1)
 *   --nodes N            (50)     --first K  number of the first one (0)
 *   --path PAT           where they post to, %d becomes the node's number (ps/s/node-%d/t)
 *   --method post|put    (post)
 *   --burst N            nodes being opened at one time (50)
 *   --psk KEY            DTLS with a pre-shared key, "hex:..." or as text, the same for all
 *   --psk-identity PAT   %d as above (node-%d)     --suites LIST  as OpenSSL names them (PSK-AES128-CCM8)
 *   --oscore FILE        OSCORE, AES-CCM-16-64-128: a line for each node, in hex, - for none:
 *                        secret salt sender-id recipient-id id-context
 *   --observe            they observe the path instead, and never post
 *
 * A run
 *   --requests M         in total (10000)     --size B  payload bytes, at least 9 (64)
 *   --rate R             requests a second (0: as fast as the answers come)
 *   --timeout S          end after S seconds whatever happens (120)
 *
 * Payload: "#" and 8 hex digits of the request's number, "." up to the size: mqttload finds it behind a gateway.
 *
 * CONTROL stderr: {"event":"ready",...} once all are open: their handshakes are done, and a first request is answered with
 * success (with OSCORE by way of the Echo that the server may ask for). Each line on standard input starts a run, whose result is
 * one JSON line on stdout; the end of standard input ends the program. --once: one run at once, then the end.
 *
 *   answered             with 2.04 or 2.01, verified;  failures: other codes, Resets, no answer (failure: the first code)
 *   retransmissions      of requests;  unverified: OSCORE answers that do not verify;  strays: datagrams for no request
 *   challenges           4.01 with Echo, asked again
 *   rate                 answers a second;  lat_ms: from the first transmission to the answer
 *   self_cpu_s           CPU time of coapcrowd itself
 * With --observe a line on standard input prints how many notifications came since the last one.
 * EXIT 0, 2 usage or set-up.
 */
#include "coap.h"

#include <stdio.h>

static void answer_command(void) {
    if (opt.observe) {
        printf("{\"nodes\":%d,\"notifications\":%lu}\n", opt.nodes, notifications);
        notifications = 0;
    } else {
        run();
    }
    fflush(stdout);
}

static void open_all(void) {
    uint64_t began = now_ns();
    while (nodes_up < opt.nodes) {
        nodes_step(20);
        if ((double)(now_ns() - began) * 1e-9 > opt.timeout) die("only %d of %d nodes are up", nodes_up, opt.nodes);
    }
    fprintf(stderr, "{\"event\":\"ready\",\"nodes\":%d,\"open_s\":%.3f,\"suite\":\"%s\",\"retransmissions\":%lu,\"challenges\":%lu}\n",
            nodes_up, (double)(now_ns() - began) * 1e-9, suite_name, retransmissions, challenges);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    int files = raise_file_limit();
    if (files < opt.nodes + 16) die("%d files may be open, %d are needed", files, opt.nodes + 16);
    nodes_create();
    open_all();
    if (opt.once) {
        answer_command();
        return 0;
    }
    while (!input_ended || commands) {
        if (commands) {
            commands--;
            answer_command();
        }
        nodes_step(20);
    }
    return 0;
}
