/* A run: who sends next, and how it went. */
#include "coap.h"

#include <stdio.h>
#include <string.h>

static Node **ready; /* ring of the nodes that have nothing under way */
static int ready_head, ready_count;
static bool running;

static uint32_t first_number; /* of this run; numbers go on from run to run */
static uint32_t *latency_us;
static uint64_t sent, answered, failures, began_at, last_at;
static uint8_t failure_code; /* the first one */

static void be_ready(Node *node) { ready[(ready_head + ready_count++) % opt.nodes] = node; }

void run_answered(Node *node, uint8_t code, uint64_t now) {
    if (!running) return;
    last_at = now;
    if (code == CODE_CHANGED || code == CODE_CREATED) latency_us[answered++] = (uint32_t)((now - node->sent_at) / 1000);
    else if (!failures++) failure_code = code;
    be_ready(node);
}

/* Sends what may go; how many milliseconds to wait for answers. */
static int pump(uint64_t now) {
    uint64_t left = (uint64_t)opt.requests - sent, due = left;
    if (opt.rate) {
        uint64_t by_now = (uint64_t)((double)(now - began_at) * 1e-9 * (double)opt.rate) + 1;
        due = by_now > sent ? by_now - sent : 0;
        if (due > left) due = left;
    }
    for (; due && ready_count; due--) {
        Node *node = ready[ready_head];
        ready_head = (ready_head + 1) % opt.nodes;
        ready_count--;
        node_send(node, first_number + (uint32_t)sent++, opt.rate ? now_ns() : now);
    }
    return opt.rate ? 1 : 20;
}

static void begin(void) {
    if (!ready) {
        ready = grab((size_t)opt.nodes, sizeof *ready);
        latency_us = grab((size_t)opt.requests, sizeof *latency_us);
    } else {
        first_number += (uint32_t)opt.requests;
    }
    sent = answered = failures = failure_code = 0;
    retransmissions = unverified = strays = challenges = 0;
    ready_head = ready_count = 0;
    running = true;
    began_at = last_at = now_ns();
    for (int i = 0; i < opt.nodes; i++) be_ready(&nodes[i]);
}

void run(void) {
    double cpu = own_cpu_seconds();
    begin();
    for (uint64_t now = began_at; answered + failures < (uint64_t)opt.requests; now = now_ns()) {
        if ((double)(now - began_at) * 1e-9 > opt.timeout) break;
        nodes_step(pump(now));
    }
    running = false;
    double seconds = (double)(last_at - began_at) * 1e-9;
    printf("{\"nodes\":%d,\"sent\":%lu,\"answered\":%lu,\"failures\":%lu,\"failure\":\"%d.%02d\",\"retransmissions\":%lu,"
           "\"unverified\":%lu,\"strays\":%lu,\"challenges\":%lu,\"rate\":%.0f",
           opt.nodes, sent, answered, failures, failure_code >> 5, failure_code & 31, retransmissions, unverified, strays,
           challenges, seconds > 0 ? (double)answered / seconds : 0);
    print_quantiles("lat_ms", latency_us, answered);
    printf(",\"self_cpu_s\":%.3f}\n", own_cpu_seconds() - cpu);
}
