/* mqttload: what its parts share. main.c explains the program. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/util.h"

enum {
    SEND_SOFT_LIMIT = 64 * 1024, /* bytes waiting on a connection before no more is published on it */
    SEND_BURST = 16,             /* messages of one connection before it is the next one's turn */
    KEEPALIVE_S = 120,
    SESSION_ID_MAX = 64,         /* bytes */
    SESSION_QUEUE = 256,         /* session IDs that a node keeps; a power of two */
    NO_MESSAGE = UINT32_MAX,
};

/* ---------------------------------------------------------------- options (options.c) */

typedef struct {
    const char *host, *id, *user, *password, *topic, *payload_file, *key_file, *session_topic;
    const char *sub_host, *sub_filter, *sub_id, *sub_user, *sub_password;
    int port, sub_port, connections, qos, sub_qos, session_qos, size, window, connect_burst;
    long messages, expect, rate, outstanding;
    double hold, idle, linger, timeout; /* seconds */
    bool publish, subscribe, persist, reconnect;
} Options;

extern Options opt;

void read_options(int argc, char **argv);

/* --------------------------------------- payloads made ahead of the run (lines.c) */

void lines_load(const char *path);
uint32_t lines_count(void);
const char *line_at(uint32_t number, uint32_t *length);
bool line_find(const uint8_t *bytes, size_t n, uint64_t *number);

/* ------------------------------------------------- sealing as it goes (sealer.c) */

typedef struct Sealer Sealer;

void sealer_load(const char *key_file);
Sealer *sealer_for(const char *device); /* dies if the key file lacks it */
size_t sealer_size(const Sealer *s, size_t data_length);
void sealer_seal(Sealer *s, const uint8_t *data, size_t n, const char *session, size_t session_length, uint8_t *to);

/* --------------------------------- every message, from send to arrival (ledger.c) */

void ledger_open(uint32_t messages);
void ledger_sent(uint32_t message, uint64_t now);
void ledger_acked(uint32_t message, uint64_t now);
void ledger_arrived(const uint8_t *payload, size_t n, uint64_t now); /* at the meter */
void ledger_malformed(void);
void ledger_disconnected(void);
void ledger_session_id(void);
void ledger_ready(uint64_t now);
void ledger_begin(uint64_t now); /* the first message is about to go */
uint64_t ledger_sent_at(uint32_t message);
uint64_t ledger_progress(void); /* when something last happened */
uint64_t ledger_sent_count(void);
uint64_t ledger_open_count(uint64_t now); /* sent, not yet at the meter, not written off */
bool ledger_complete(void);
int ledger_report(int connections_up, bool started, uint64_t now); /* prints; exit status */

/* -------------------------------------------------------- connections (connection.c) */

typedef enum { DOWN, CONNECTING, WAIT_CONNACK, WAIT_SUBACK, UP, DEAD } State;

typedef struct {
    uint8_t length;
    char text[SESSION_ID_MAX];
} SessionID;

typedef struct Connection {
    int fd, index;
    State state;
    bool is_meter, polling_out, in_ready, in_flush;
    uint32_t next;          /* number of its next message; they are opt.connections apart */
    uint16_t free_count;    /* free packet identifiers, a stack */
    uint16_t *free_ids;
    uint32_t *message_of;   /* packet identifier - 1 -> message, NO_MESSAGE when free */
    char *topic, *session_topic;
    uint16_t topic_length;
    Sealer *sealer;
    SessionID *session_ids; /* ring of those not used yet */
    uint32_t session_head, session_tail;
    Buffer in, out;
    uint64_t retry_at, last_sent;
} Connection;

extern Connection *connections, meter;
extern int connections_up, connections_opening, connections_untried;

void connections_create(void);
void connections_tick(uint64_t now); /* opens what is down, sends keep-alives */
void connection_event(Connection *c, uint32_t events);
void connection_drop(Connection *c, const char *why);
void connections_poll(int timeout_ms);
void connections_flush(void);
int connections_to_flush(void); /* how many have something to send */
bool connections_unflushed(void);
void connections_goodbye(void);
void want_flush(Connection *c);

/* -------------------------------------------------------------- packets (packets.c) */

void send_connect(Connection *c);
void send_pingreq(Connection *c);
void send_again(Connection *c); /* what was unacknowledged, after a reconnect */
void publish_next(Connection *c, uint64_t now);
/* Takes whole packets; the bytes used, or -1: protocol error, or the connection went down meanwhile. */
long take_packets(Connection *c, const uint8_t *bytes, size_t n, uint64_t now);

/* -------------------------------------------------------------- pacing (main.c) */

bool can_publish(const Connection *c);
void make_ready(Connection *c); /* gets its turn to publish, if it can */
void connection_is_up(Connection *c);

#endif
