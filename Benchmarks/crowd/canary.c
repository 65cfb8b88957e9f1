/*
 * The other traffic beside a storm: one plain client that sends itself a QoS 1 message each 5 ms. On a thread of its own, which goes
 * first where the kernel allows it: the handshakes of the crowd must not be counted as a pause of the broker.
 */
#define _GNU_SOURCE
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { PERIOD_NS = 5000000, KEPT = 1 << 16, PATIENCE_S = 60 };

typedef struct {
    uint32_t us[KEPT], count, late_us; /* round trips; how late the clock woke us at most */
} Series;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Series calm, storm;
static bool in_storm;
static int fd;

static void send_all(const void *from, size_t n) {
    if (send(fd, from, n, MSG_NOSIGNAL) != (ssize_t)n) die("canary: %s", strerror(errno));
}

/* One packet; they are all shorter than 128 bytes. Its length behind the header. */
static uint8_t receive(uint8_t *packet) {
    ssize_t n = recv(fd, packet, 2, MSG_WAITALL);
    if (n == 2 && packet[1] < 128) n += packet[1] ? recv(fd, packet + 2, packet[1], MSG_WAITALL) : 0;
    if (n != 2 + packet[1]) die("canary: %s", n < 0 ? strerror(errno) : "closed by the broker");
    return packet[1];
}

/* From PUBLISH until PUBACK and message are both back, microseconds. */
static uint32_t round_trip(void) {
    static const char ping[] = "\x32\x1a\x00\x0as/canary/t\x00\x01............";
    uint8_t packet[130];
    uint64_t began = now_ns();
    send_all(ping, sizeof ping - 1);
    for (bool acked = false, arrived = false; !acked || !arrived;) {
        uint8_t n = receive(packet);
        if (packet[0] >> 4 == 4) acked = true;
        if (packet[0] >> 4 != 3) continue;
        arrived = true;
        if (packet[0] & 6 && n >= 14) send_all((uint8_t[]){ 0x40, 2, packet[14], packet[15] }, 4);
    }
    return (uint32_t)((now_ns() - began) / 1000);
}

static void *ping(void *unused) {
    uint64_t due = now_ns();
    for (;;) {
        due += PERIOD_NS;
        uint64_t now = now_ns();
        if (due < now) due = now;
        struct timespec at = { .tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u) };
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)) { }
        uint32_t late = (uint32_t)((now_ns() - due) / 1000);
        pthread_mutex_lock(&lock);
        bool began_in_storm = in_storm;
        pthread_mutex_unlock(&lock);
        uint32_t us = round_trip();
        pthread_mutex_lock(&lock);
        Series *s = in_storm || began_in_storm ? &storm : &calm;
        if (s->count < KEPT) s->us[s->count++] = us;
        if (late > s->late_us) s->late_us = late;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

void canary_start(void) {
    static const char hello[] = "\x10\x12\x00\x04MQTT\x04\x02\x0b\xb8\x00\x06" "canary";
    static const char subscribe[] = "\x82\x0f\x00\x01\x00\x0as/canary/t\x01";
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
    struct timeval patience = { .tv_sec = PATIENCE_S };
    uint8_t packet[130];
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, opt.host, &to.sin_addr) != 1 || connect(fd, (struct sockaddr *)&to, sizeof to))
        die("canary: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    send_all(hello, sizeof hello - 1);
    if (receive(packet) < 2 || packet[3]) die("canary: refused");
    send_all(subscribe, sizeof subscribe - 1);
    if (receive(packet) < 3 || packet[4] & 0x80) die("canary: subscription refused");
    pthread_t thread;
    if (pthread_create(&thread, NULL, ping, NULL)) die("canary: no thread");
    struct sched_param first = { .sched_priority = 1 };
    pthread_setschedparam(thread, SCHED_FIFO, &first); /* refused without the right: late_ms tells what it cost */
    pthread_detach(thread);
}

void canary_mark(bool storms) {
    pthread_mutex_lock(&lock);
    in_storm = storms;
    pthread_mutex_unlock(&lock);
}

static void print_series(const char *name, Series *s) {
    printf(",\"%s\":{\"pings\":%u,\"late_ms\":%.3f", name, s->count, s->late_us * 1e-3);
    print_quantiles("ms", s->us, s->count);
    printf("}");
    s->count = s->late_us = 0;
}

void canary_print(void) {
    struct timespec a_while = { .tv_nsec = 20 * 1000000 }; /* the round trip that began in the storm ends in it */
    nanosleep(&a_while, NULL);
    pthread_mutex_lock(&lock);
    print_series("calm", &calm);
    print_series("storm", &storm);
    pthread_mutex_unlock(&lock);
}
