/* The nodes: a UDP socket each, one Confirmable request under way (RFC 7252 section 4.2), its retransmissions, its answer. */
#define _GNU_SOURCE
#include "coap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, MAX_RETRANSMIT = 4, ECHO_TRIES = 3, DATAGRAM_MAX = 2048 };
static const uint64_t TICK_NS = 50000000, ACK_TIMEOUT_NS = 2000000000, SEPARATE_NS = 30000000000;

Node *nodes;
int nodes_up, commands;
bool input_ended;
uint64_t retransmissions, unverified, strays, challenges, notifications;

static int ep, opened, opening;
static uint64_t next_tick;
static uint8_t filler[MESSAGE_MAX];

/* ----------------------------------------------------------------- sending */

static void transmit(Node *node, const uint8_t *bytes, size_t n) {
    if (node->ssl) {
        ERR_clear_error();
        if (SSL_write(node->ssl, bytes, (int)n) != (int)n) die("node %d: DTLS: cannot be written", node->index);
        return;
    }
    if (send(node->fd, bytes, n, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
        die("node %d: %s", node->index, strerror(errno));
}

static void start_exchange(Node *node) {
    uint8_t payload[MESSAGE_MAX];
    memcpy(payload, filler, (size_t)opt.size);
    if (node->number != NO_NUMBER) {
        payload[0] = '#';
        put_hex(payload + 1, node->number, 8);
    }
    Request r = { .code = opt.observe ? 1 : opt.method[1] == 'u' ? 3 : CODE_POST, .id = ++node->id, .token = ++node->token,
                  .observe = opt.observe, .path = node->path, .echo = node->echo, .echo_length = node->echo_length,
                  .payload = payload, .payload_length = opt.observe ? 0 : (size_t)opt.size };
    node->out_length = write_request(&r, node->oscore, node->out);
    node->echo_length = 0;
    node->busy = true;
    node->acked = false;
    node->sends = 1;
    node->wait_ns = ACK_TIMEOUT_NS + (uint64_t)random() % (ACK_TIMEOUT_NS / 2);
    node->deadline = now_ns() + node->wait_ns;
    transmit(node, node->out, node->out_length);
}

void node_send(Node *node, uint32_t number, uint64_t now) {
    node->number = number;
    node->sent_at = now;
    node->echoes = 0;
    start_exchange(node);
}

/* ---------------------------------------------------------------- receiving */

static void finish(Node *node, uint8_t code, uint64_t now) {
    node->busy = false;
    if (node->state == UP) {
        run_answered(node, code, now);
        return;
    }
    if (code >> 5 != 2) die("node %d: the first request was answered with %d.%02d", node->index, code >> 5, code & 31);
    node->state = UP;
    opening--;
    nodes_up++;
}

static void take_response(Node *node, Message *m, uint64_t now) {
    uint8_t plain[DATAGRAM_MAX];
    if (node->oscore && m->has_oscore) {
        long n = oscore_open(node->oscore, m->oscore, m->oscore_length, m->payload, m->payload_length, plain);
        if (n < 0 || !parse_plaintext(plain, (size_t)n, m)) {
            unverified++;
            return;
        }
    } else if (node->oscore && m->code >> 5 == 2) {
        unverified++; /* only an error may come without */
        return;
    }
    if (m->code == CODE_UNAUTHORIZED && m->echo_length && m->echo_length <= ECHO_MAX && node->echoes++ < ECHO_TRIES) {
        challenges++;
        memcpy(node->echo, m->echo, m->echo_length);
        node->echo_length = m->echo_length;
        start_exchange(node);
        return;
    }
    if (opt.observe && !m->has_observe) die("node %d: nothing is observed there", node->index);
    finish(node, m->code, now);
}

static void take_datagram(Node *node, const uint8_t *bytes, size_t n, uint64_t now) {
    uint8_t reply[4];
    Message m;
    if (!parse_message(bytes, n, &m)) {
        strays++;
        return;
    }
    bool answers = m.type == ACK || m.type == RST;
    if (answers && (!node->busy || m.id != node->id)) {
        strays++;
        return;
    }
    if (m.type == RST) {
        finish(node, 0, now);
        return;
    }
    if (m.type == ACK && !m.code) {
        node->acked = true; /* the response comes in a message of its own */
        node->deadline = now + SEPARATE_NS;
        return;
    }
    bool ours = m.has_token && m.token == node->token, notification = opt.observe && !node->busy && ours;
    if (m.type == CON) transmit(node, reply, write_empty(ours ? ACK : RST, m.id, reply));
    if (notification) notifications++;
    else if (ours && node->busy) take_response(node, &m, now);
    else strays++;
}

static void greet(Node *node, uint64_t now) {
    node->state = GREETING;
    node_send(node, NO_NUMBER, now);
}

static void shake_hands(Node *node) {
    int done = dtls_connect(node);
    if (done < 0) die("node %d: the DTLS handshake failed", node->index);
    if (done) greet(node, now_ns());
}

static void on_readable(Node *node) {
    uint8_t bytes[DATAGRAM_MAX];
    if (node->state == HANDSHAKE) {
        shake_hands(node);
        return;
    }
    do {
        ssize_t n;
        if (node->ssl) {
            ERR_clear_error();
            int got = SSL_read(node->ssl, bytes, sizeof bytes);
            if (got <= 0 && SSL_get_error(node->ssl, got) != SSL_ERROR_WANT_READ) die("node %d: its session has ended", node->index);
            n = got;
        } else {
            n = recv(node->fd, bytes, sizeof bytes, MSG_DONTWAIT);
            if (n < 0 && errno == ECONNREFUSED) die("node %d: nobody is at port %d", node->index, opt.port);
        }
        if (n <= 0) return;
        take_datagram(node, bytes, (size_t)n, now_ns());
    } while (node->ssl && SSL_pending(node->ssl) > 0);
}

/* -------------------------------------------------------------------- time */

static void tick(Node *node, uint64_t now) {
    if (node->state == HANDSHAKE) dtls_tick(node);
    if (!node->busy || now < node->deadline) return;
    if (node->acked || node->sends > MAX_RETRANSMIT) {
        finish(node, 0, now);
        return;
    }
    node->sends++;
    retransmissions++;
    node->wait_ns *= 2;
    node->deadline = now + node->wait_ns;
    transmit(node, node->out, node->out_length);
}

static void open_node(Node *node) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
    if (inet_pton(AF_INET, opt.host, &to.sin_addr) != 1) die("%s: not an IPv4 address", opt.host);
    node->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (node->fd < 0 || connect(node->fd, (struct sockaddr *)&to, sizeof to)) die("socket: %s", strerror(errno));
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = node };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, node->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    opening++;
    if (!opt.psk) {
        greet(node, now_ns());
        return;
    }
    dtls_attach(node);
    node->state = HANDSHAKE;
    shake_hands(node);
}

static void read_commands(void) {
    char text[64];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    for (ssize_t i = 0; i < n; i++) commands += text[i] == '\n';
    if (n) return;
    input_ended = true;
    epoll_ctl(ep, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

void nodes_create(void) {
    ep = epoll_create1(EPOLL_CLOEXEC);
    nodes = grab((size_t)opt.nodes, sizeof *nodes);
    memset(filler, '.', sizeof filler);
    srandom((unsigned)(now_ns() ^ (uint64_t)getpid()));
    Oscore **contexts = opt.oscore ? oscore_read(opt.oscore, opt.first, opt.nodes) : NULL;
    for (int i = 0; i < opt.nodes; i++) {
        nodes[i] = (Node){ .fd = -1, .index = opt.first + i, .id = (uint16_t)random(), .token = (uint32_t)random(),
                           .oscore = contexts ? contexts[i] : NULL, .path = expand(opt.path, opt.first + i),
                           .identity = expand(opt.psk_identity, opt.first + i) };
    }
    if (opt.psk) dtls_create();
    if (opt.once) return;
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &event)) die("standard input has to be a pipe, or --once");
}

void nodes_step(int timeout_ms) {
    static struct epoll_event events[EVENTS];
    while (opened < opt.nodes && opening < opt.burst) open_node(&nodes[opened++]);
    int n = epoll_wait(ep, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) on_readable(events[i].data.ptr);
        else read_commands();
    }
    uint64_t now = now_ns();
    if (now < next_tick) return;
    next_tick = now + TICK_NS;
    for (int i = 0; i < opened; i++) tick(&nodes[i], now);
}
