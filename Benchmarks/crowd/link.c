/* Connections, plain and TLS: opening, reading, writing, opening again. */
#define _GNU_SOURCE
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_CHUNK = 256 * 1024, EVENTS = 512, RETRY_NS = 200000000 };

Link *links;
int link_count, links_up, links_opening, links_failed, commands;
bool input_ended;
const char *tls_version = "";
/* As nodes have them. With DHE-PSK Mosquitto would make a key of 3072 bits for each, and nothing else would be measured. */
static const char CLIENT_SUITES[] = "kECDHEPSK:kPSK";

static int ep, cursor, burst;
static uint64_t retry_from; /* nobody that is down can be opened before */
static Link **flush_queue;
static int flush_count;
static SSL_CTX *context;
static uint8_t psk[64];
static size_t psk_length;

/* ------------------------------------------------------------------------- TLS */

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_max, unsigned char *key, unsigned key_max) {
    (void)hint;
    const Link *l = SSL_get_app_data(ssl);
    char *text = expand(opt.psk_identity, l ? l->index : 0);
    size_t n = strlen(text);
    bool fits = n < identity_max && psk_length <= key_max;
    if (fits) {
        memcpy(identity, text, n + 1);
        memcpy(key, psk, psk_length);
    }
    free(text);
    return fits ? (unsigned)psk_length : 0;
}

SSL_CTX *client_context(void) {
    psk_length = strlen(opt.psk_hex) / 2;
    if (psk_length > sizeof psk) die("--psk-key is too long");
    for (size_t i = 0; i < psk_length; i++) {
        uint64_t byte;
        if (!get_hex((const uint8_t *)opt.psk_hex + 2 * i, 2, &byte)) die("--psk-key: not hex");
        psk[i] = (uint8_t)byte;
    }
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    int least = strcmp(opt.tls, "1.3") ? TLS1_2_VERSION : TLS1_3_VERSION;
    int most = strcmp(opt.tls, "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (!made || !SSL_CTX_set_min_proto_version(made, least) || !SSL_CTX_set_max_proto_version(made, most) ||
        !SSL_CTX_set_cipher_list(made, CLIENT_SUITES))
        die("TLS: set-up failed");
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_psk_client_callback(made, give_psk);
    return made;
}

static bool uses_tls(const Link *l) { return l->role == CROWD && opt.tls_port > 0; }

/* What recv() and send() would return, with errno: EAGAIN when the other side has to do something first. */
static ssize_t ssl_result(const Link *l, int n) {
    if (n > 0) return n;
    switch (SSL_get_error(l->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL:
        if (!errno) return 0;
        return -1;
    default: errno = EPROTO; return -1;
    }
}

static ssize_t link_read(Link *l, uint8_t *to, size_t n) {
    if (!l->ssl) return recv(l->fd, to, n, 0);
    ERR_clear_error();
    return ssl_result(l, SSL_read(l->ssl, to, (int)n));
}

static ssize_t link_write(Link *l, const uint8_t *from, size_t n) {
    if (!l->ssl) return send(l->fd, from, n, MSG_NOSIGNAL);
    ERR_clear_error();
    return ssl_result(l, SSL_write(l->ssl, from, (int)n));
}

/* ------------------------------------------------------------- open and closed */

/* "s/pub-7/t", or of several "s/pub-7/t/0", "s/pub-7/t/1" ... */
static char **topics_of(int publisher) {
    char **topics = grab((size_t)opt.topics, sizeof *topics), *one = expand(opt.topic, publisher);
    for (int i = 0; i < opt.topics; i++)
        if (asprintf(&topics[i], opt.topics > 1 ? "%s/%d" : "%s", one, i) < 0) die("out of memory");
    free(one);
    return topics;
}

static void add(int count, Role role, int *n) {
    for (int i = 0; i < count; i++) {
        Link *l = &links[(*n)++];
        l->index = i;
        l->role = role;
        l->fd = -1;
        if (role != PUBLISHER) continue;
        l->topics = topics_of(i);
        l->window = (uint16_t)opt.window;
        l->free_ids = grab((size_t)opt.window, sizeof *l->free_ids);
        l->message_of = grab((size_t)opt.window, sizeof *l->message_of);
    }
}

void links_create(void) {
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0) die("epoll_create1: %s", strerror(errno));
    links = grab((size_t)(opt.crowd + opt.subscribers + opt.publishers), sizeof *links);
    add(opt.crowd, CROWD, &link_count);
    add(opt.subscribers, SUBSCRIBER, &link_count);
    add(opt.publishers, PUBLISHER, &link_count);
    flush_queue = grab((size_t)link_count, sizeof *flush_queue);
    burst = opt.connect_burst;
    if (opt.tls_port) context = client_context();
    if (opt.once) return;
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &event)) die("standard input has to be a pipe, or --once");
}

static void poll_for_output(Link *l, bool wanted) {
    if (l->polling_out == wanted) return;
    l->polling_out = wanted;
    struct epoll_event event = { .events = EPOLLIN | (wanted ? EPOLLOUT : 0u), .data.ptr = l };
    if (epoll_ctl(ep, EPOLL_CTL_MOD, l->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void shut(Link *l) {
    if (l->state == UP) links_up--;
    else links_opening--;
    l->state = DOWN;
    close(l->fd);
    l->fd = -1;
    SSL_free(l->ssl);
    l->ssl = NULL;
    buffer_drop(&l->in, l->in.length);
    buffer_drop(&l->out, l->out.length);
}

void link_fail(Link *l, const char *why) {
    static const char *const names[] = { "crowd", "subscriber", "publisher" };
    if (l->state == DOWN) return;
    if (l->state == UP) die("%s %d: %s", names[l->role], l->index, why);
    if (!links_failed++) fprintf(stderr, "mqttcrowd: %s %d, while opening: %s\n", names[l->role], l->index, why);
    shut(l);
    l->retry_at = now_ns() + RETRY_NS;
}

void links_cut(Role role) {
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    for (int i = 0; i < link_count; i++) {
        if (links[i].role != role || links[i].state == DOWN) continue;
        setsockopt(links[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        shut(&links[i]);
        links[i].retry_at = 0;
    }
    burst = link_count;
    retry_from = 0;
}

static void open_link(Link *l) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(uses_tls(l) ? opt.tls_port : opt.port)) };
    if (inet_pton(AF_INET, opt.host, &to.sin_addr) != 1) die("%s: not an IPv4 address", opt.host);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (opt.addresses > 1) {
        struct sockaddr_in from = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)(l->index % opt.addresses)) };
        setsockopt(l->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int));
        if (bind(l->fd, (struct sockaddr *)&from, sizeof from)) die("bind: %s", strerror(errno));
    }
    l->state = CONNECTING;
    l->polling_out = true;
    links_opening++;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = l };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    if (connect(l->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) link_fail(l, strerror(errno));
}

static void open_some(uint64_t now) {
    if (links_up + links_opening == link_count || now < retry_from) return;
    int looked = 0;
    for (; looked < link_count && links_opening < burst; looked++) {
        Link *l = &links[cursor];
        cursor = (cursor + 1) % link_count;
        if (l->state == DOWN && l->retry_at <= now) open_link(l);
    }
    if (looked == link_count) retry_from = now + RETRY_NS / 4;
}

/* --------------------------------------------------------------------- writing */

void want_flush(Link *l) {
    if (l->in_flush) return;
    l->in_flush = true;
    flush_queue[flush_count++] = l;
}

int links_to_flush(void) { return flush_count; }

static void flush(Link *l) {
    if (l->state < WAIT_CONNACK) return;
    while (l->out.length) {
        ssize_t n = link_write(l, l->out.bytes + l->out.start, l->out.length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) {
            link_fail(l, n ? strerror(errno) : "closed");
            return;
        }
        buffer_drop(&l->out, (size_t)n);
    }
    poll_for_output(l, l->out.length > 0);
    flow_ready(l);
}

/* --------------------------------------------------------------------- reading */

static void on_readable(Link *l) {
    static uint8_t chunk[READ_CHUNK];
    do {
        ssize_t n = link_read(l, chunk, sizeof chunk);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) {
            link_fail(l, n ? strerror(errno) : "closed by the broker");
            return;
        }
        bool kept = l->in.length > 0; /* the start of a packet, from an earlier read */
        if (kept) buffer_add(&l->in, chunk, (size_t)n);
        const uint8_t *bytes = kept ? l->in.bytes + l->in.start : chunk;
        size_t length = kept ? l->in.length : (size_t)n;
        long used = take_packets(l, bytes, length, now_ns());
        if (used < 0) {
            link_fail(l, "protocol error");
            return;
        }
        if (kept) buffer_drop(&l->in, (size_t)used);
        else if ((size_t)used < length) buffer_add(&l->in, bytes + used, length - (size_t)used);
    } while (l->ssl && SSL_pending(l->ssl) > 0);
}

static void greet(Link *l) {
    l->state = WAIT_CONNACK;
    send_connect(l);
}

static void shake_hands(Link *l) {
    ERR_clear_error();
    int n = SSL_connect(l->ssl);
    if (n == 1) {
        tls_version = SSL_get_version(l->ssl);
        greet(l);
        return;
    }
    int problem = SSL_get_error(l->ssl, n);
    if (problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE) {
        poll_for_output(l, problem == SSL_ERROR_WANT_WRITE);
        return;
    }
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    link_fail(l, reason ? reason : "closed in the TLS handshake");
}

static void on_connected(Link *l) {
    int problem = 0;
    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &problem, &(socklen_t){ sizeof problem });
    if (problem) {
        link_fail(l, strerror(problem));
        return;
    }
    if (!uses_tls(l)) {
        greet(l);
        return;
    }
    l->ssl = SSL_new(context);
    if (!l->ssl || !SSL_set_fd(l->ssl, l->fd)) die("TLS: out of memory");
    SSL_set_app_data(l->ssl, l);
    l->state = HANDSHAKE;
    shake_hands(l);
}

static void on_event(Link *l, uint32_t events) {
    switch (l->state) {
    case DOWN: return;
    case CONNECTING:
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) on_connected(l);
        return;
    case HANDSHAKE: shake_hands(l); return;
    default:
        if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) on_readable(l);
        if (events & EPOLLOUT && l->state >= WAIT_CONNACK) want_flush(l);
    }
}

static void read_commands(void) {
    char text[64];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    for (ssize_t i = 0; i < n; i++) commands += text[i] == '\n';
    if (n) return;
    input_ended = true;
    epoll_ctl(ep, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

void links_step(int timeout_ms) {
    static struct epoll_event events[EVENTS];
    open_some(now_ns());
    for (int i = 0; i < flush_count; i++) {
        flush_queue[i]->in_flush = false;
        flush(flush_queue[i]);
    }
    flush_count = 0;
    int n = epoll_wait(ep, events, EVENTS, timeout_ms);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) on_event(events[i].data.ptr, events[i].events);
        else read_commands();
    }
}
