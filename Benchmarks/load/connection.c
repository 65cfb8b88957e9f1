/* Sockets: opening, reading, writing, opening again. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_CHUNK = 256 * 1024, EVENTS = 512, RETRY_NS = 200000000, PING_AFTER_S = KEEPALIVE_S / 2 };

Connection *connections, meter;
int connections_up, connections_opening, connections_untried;

static int ep;
static Connection **flush_queue;
static int flush_count;

static int publishers(void) { return opt.publish ? opt.connections : 0; }

void connections_create(void) {
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0) die("epoll_create1: %s", strerror(errno));
    connections = grab((size_t)opt.connections, sizeof *connections);
    flush_queue = grab((size_t)opt.connections + 1, sizeof *flush_queue);
    connections_untried = publishers();
    meter.is_meter = true;
    for (int i = 0; i < publishers(); i++) {
        Connection *c = &connections[i];
        c->index = i;
        c->next = (uint32_t)i;
        c->topic = expand(opt.topic, i);
        c->topic_length = (uint16_t)strlen(c->topic);
        if (opt.key_file) {
            c->sealer = sealer_for(expand(opt.id, i));
            c->session_topic = expand(opt.session_topic, i);
            c->session_ids = grab(SESSION_QUEUE, sizeof *c->session_ids);
        }
        if (!opt.qos || opt.hold > 0) continue;
        c->free_count = (uint16_t)opt.window;
        c->free_ids = grab((size_t)opt.window, sizeof *c->free_ids);
        c->message_of = grab((size_t)opt.window, sizeof *c->message_of);
        memset(c->message_of, 0xff, (size_t)opt.window * sizeof *c->message_of);
        for (int w = 0; w < opt.window; w++) c->free_ids[w] = (uint16_t)(opt.window - w);
    }
}

/* ------------------------------------------------------------- open and closed */

static void poll_for_output(Connection *c, bool wanted) {
    if (c->polling_out == wanted) return;
    c->polling_out = wanted;
    struct epoll_event event = { .events = EPOLLIN | (wanted ? EPOLLOUT : 0u), .data.ptr = c };
    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

void connection_drop(Connection *c, const char *why) {
    if (c->state == DOWN || c->state == DEAD) return;
    if (c->state == UP) {
        connections_up--;
        ledger_disconnected();
    } else {
        connections_opening--;
    }
    close(c->fd);
    c->fd = -1;
    buffer_drop(&c->in, c->in.length);
    buffer_drop(&c->out, c->out.length);
    if (!opt.reconnect) {
        if (!ledger_progress()) die("connection %s%d: %s", c->is_meter ? "sub " : "", c->index, why);
        c->state = DEAD;
        return;
    }
    c->state = DOWN;
    c->retry_at = now_ns() + RETRY_NS;
}

static void resolve(const char *host, int port, struct sockaddr_storage *address, socklen_t *length) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *found;
    int rc = getaddrinfo(host, service, &hint, &found);
    if (rc) die("%s: %s", host, gai_strerror(rc));
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *length = found->ai_addrlen;
    freeaddrinfo(found);
}

static void open_connection(Connection *c) {
    static struct sockaddr_storage address[2];
    static socklen_t length[2];
    int which = c->is_meter;
    if (!length[which])
        resolve(which ? opt.sub_host : opt.host, which ? opt.sub_port : opt.port, &address[which], &length[which]);
    c->fd = socket(address[which].ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s (raise ulimit -n?)", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    c->state = CONNECTING;
    c->polling_out = true;
    connections_opening++;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    if (connect(c->fd, (struct sockaddr *)&address[which], length[which]) && errno != EINPROGRESS)
        connection_drop(c, strerror(errno));
}

static void keep_alive(uint64_t now) {
    static uint64_t last;
    if (now - last < 1000000000u) return;
    last = now;
    for (int i = -1; i < publishers(); i++) {
        Connection *c = i < 0 ? &meter : &connections[i];
        if (c->state != UP || now - c->last_sent < PING_AFTER_S * 1000000000ull) continue;
        c->last_sent = now;
        send_pingreq(c);
    }
}

void connections_tick(uint64_t now) {
    static int cursor;
    if (opt.subscribe && meter.state == DOWN && meter.retry_at <= now) open_connection(&meter);
    for (int i = 0; i < publishers() && connections_opening < opt.connect_burst; i++) {
        Connection *c = &connections[cursor];
        cursor = (cursor + 1) % opt.connections;
        if (c->state != DOWN || c->retry_at > now) continue;
        if (!c->retry_at) connections_untried--;
        open_connection(c);
    }
    keep_alive(now);
}

/* --------------------------------------------------------------------- writing */

void want_flush(Connection *c) {
    if (c->in_flush) return;
    c->in_flush = true;
    flush_queue[flush_count++] = c;
}

static void flush(Connection *c) {
    if (c->state <= CONNECTING || c->state == DEAD) return;
    while (c->out.length) {
        ssize_t n = send(c->fd, c->out.bytes + c->out.start, c->out.length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) {
            connection_drop(c, strerror(errno));
            return;
        }
        buffer_drop(&c->out, (size_t)n);
    }
    c->last_sent = ledger_progress();
    poll_for_output(c, c->out.length > 0);
    make_ready(c);
}

void connections_flush(void) {
    for (int i = 0; i < flush_count; i++) {
        flush_queue[i]->in_flush = false;
        flush(flush_queue[i]);
    }
    flush_count = 0;
}

int connections_to_flush(void) { return flush_count; }

bool connections_unflushed(void) {
    for (int i = 0; i < publishers(); i++)
        if (connections[i].state == UP && connections[i].out.length) return true;
    return false;
}

void connections_goodbye(void) {
    for (int i = -1; i < publishers(); i++) {
        Connection *c = i < 0 ? &meter : &connections[i];
        if (c->state == UP && send(c->fd, "\xe0\0", 2, MSG_NOSIGNAL) < 0) continue;
    }
}

/* --------------------------------------------------------------------- reading */

static void on_readable(Connection *c) {
    static uint8_t chunk[READ_CHUNK];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        connection_drop(c, n ? strerror(errno) : "closed by peer");
        return;
    }
    bool kept = c->in.length > 0; /* the start of a packet, from an earlier read */
    if (kept) buffer_add(&c->in, chunk, (size_t)n);
    const uint8_t *bytes = kept ? c->in.bytes + c->in.start : chunk;
    size_t length = kept ? c->in.length : (size_t)n;
    long used = take_packets(c, bytes, length, now_ns());
    if (used < 0) connection_drop(c, "protocol error");
    else if (kept) buffer_drop(&c->in, (size_t)used);
    else if ((size_t)used < length) buffer_add(&c->in, bytes + used, length - (size_t)used);
}

void connection_event(Connection *c, uint32_t events) {
    if (c->state == DOWN || c->state == DEAD) return;
    if (c->state == CONNECTING) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return;
        int problem = 0;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &(socklen_t){ sizeof problem });
        if (problem) {
            connection_drop(c, strerror(problem));
            return;
        }
        c->state = WAIT_CONNACK;
        send_connect(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) on_readable(c);
    if (events & EPOLLOUT && c->state > CONNECTING && c->state != DEAD) want_flush(c);
}

void connections_poll(int timeout_ms) {
    static struct epoll_event events[EVENTS];
    int n = epoll_wait(ep, events, EVENTS, timeout_ms);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) connection_event(events[i].data.ptr, events[i].events);
}
