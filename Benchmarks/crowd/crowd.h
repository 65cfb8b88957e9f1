/* mqttcrowd: what its parts share. main.c explains the program. */
#ifndef CROWD_H
#define CROWD_H

#include "../common/util.h"

#include <openssl/ssl.h>

enum {
    SEND_SOFT_LIMIT = 64 * 1024, /* bytes waiting on a connection before no more is published on it */
    SEND_BURST = 16,             /* messages of one publisher before it is the next one's turn */
    KEEPALIVE_S = 3000,          /* no PINGREQ goes: a run is shorter */
    NO_MESSAGE = UINT32_MAX,
};

/* ---------------------------------------------------------------- options (options.c) */

typedef struct {
    const char *host, *topic, *filter, *crowd_filter, *crowd_id, *psk_identity, *psk_hex, *tls;
    int port, tls_port, publishers, subscribers, crowd, filters, qos, size, window, protocol, topics, connect_burst, addresses;
    long messages, rate, outstanding;
    double idle, timeout; /* seconds */
    bool storm, once, persist;
    int tls_floor;
} Options;

extern Options opt;

void read_options(int argc, char **argv);

/* ---------------------------------------------------------------------- links (link.c) */

typedef enum { CROWD, SUBSCRIBER, PUBLISHER } Role;
typedef enum { DOWN, CONNECTING, HANDSHAKE, WAIT_CONNACK, WAIT_SUBACK, UP } State;

typedef struct {
    int fd, index; /* index within its role */
    Role role;
    State state;
    bool polling_out, in_ready, in_flush;
    uint16_t window, free_count; /* free packet identifiers, a stack */
    uint16_t *free_ids;
    uint32_t *message_of; /* packet identifier - 1 -> message of this run, NO_MESSAGE when free */
    uint32_t next;        /* its next message; they are opt.publishers apart */
    char **topics;        /* opt.topics of them, in turn */
    SSL *ssl;
    Buffer in, out;
    uint64_t retry_at;
} Link;

extern Link *links; /* the crowd, then the subscribers, then the publishers */
extern int link_count, links_up, links_opening, links_failed, commands;
extern bool input_ended; /* standard input; commands counts its lines */
extern const char *tls_version;

void links_create(void);
void links_step(int timeout_ms); /* opens, writes, reads */
void links_cut(Role role);       /* resets the TCP connections of all of them, and opens them again */
int links_to_flush(void);
void link_fail(Link *l, const char *why);
void want_flush(Link *l);

/* ---------------------------------------------------------------------- packets (wire.c) */

extern int granted_qos; /* least that a subscriber got */

void send_connect(Link *l);
void send_publish(Link *l, uint32_t message, uint16_t id, uint64_t now);
long take_packets(Link *l, const uint8_t *bytes, size_t n, uint64_t now); /* bytes used; -1: protocol error */

/* --------------------------------------------------------- messages of a run (flow.c) */

void flow_run(void); /* prints a line */
void flow_acked(Link *l, unsigned id, uint64_t now);
void flow_arrived(const Link *l, const uint8_t *payload, size_t n, uint64_t now);
void flow_halfway(int change); /* QoS 2 messages at a subscriber that wait for their PUBREL */
void flow_refused(void);
void flow_ready(Link *l);
uint32_t flow_number(uint32_t message); /* as it is written into the payload */

/* ------------------------------------------------------------- the storm (storm.c) */

void storm_run(void); /* prints a line */
void storm_connected(uint64_t now);

/* ---------------------------------------- the other traffic, on a thread (canary.c) */

void canary_start(void);
void canary_mark(bool storm); /* what is measured from now on belongs to the storm, or to the calm */
void canary_print(void);      /* ,"calm":{...},"storm":{...}; forgets what was measured */

/* --------------------------------------------- what OpenSSL itself needs (floor.c) */

void floor_print(int connections);
SSL_CTX *client_context(void);

#endif
