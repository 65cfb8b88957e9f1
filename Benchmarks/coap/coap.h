/* coapcrowd: what its parts share. main.c explains the program. */
#ifndef COAP_H
#define COAP_H

#include "../common/util.h"

#include <openssl/ssl.h>

enum {
    MESSAGE_MAX = 1152,
    ECHO_MAX = 40,
    CODE_POST = 2,
    CODE_CREATED = 0x41,
    CODE_CHANGED = 0x44,
    CODE_CONTENT = 0x45,
    CODE_UNAUTHORIZED = 0x81,
    OPTION_OBSERVE = 6,
    OPTION_OSCORE = 9,
    OPTION_URI_PATH = 11,
    OPTION_ECHO = 252,
};

typedef enum { CON, NON, ACK, RST } Type;

/* ---------------------------------------------------------------- options (options.c) */

typedef struct {
    const char *host, *path, *method, *psk, *psk_identity, *suites, *oscore;
    int port, nodes, first, size, burst;
    long requests, rate;
    double timeout; /* seconds */
    bool observe, once;
} Options;

extern Options opt;

void read_options(int argc, char **argv);

/* ------------------------------------------------------------------ OSCORE (oscore.c) */

typedef struct Oscore Oscore;

Oscore **oscore_read(const char *path, int first, int count); /* a line each, from line `first`, or die */
/* Seals a plaintext (code, options, payload). Writes the OSCORE option's value (at most 32 bytes), and n + 8 bytes. */
size_t oscore_seal(Oscore *o, const uint8_t *plain, size_t n, uint8_t *sealed, uint8_t *option, size_t *option_length);
/* Opens the answer to what was sealed last; the length of the plaintext, or -1: it does not verify. */
long oscore_open(Oscore *o, const uint8_t *option, size_t option_length, const uint8_t *sealed, size_t n, uint8_t *plain);

/* ---------------------------------------------------------------- messages (message.c) */

typedef struct {
    Type type;
    uint8_t code;
    uint16_t id;
    uint32_t token;
    bool has_token, has_oscore, has_observe;
    const uint8_t *oscore, *echo, *payload;
    size_t oscore_length, echo_length, payload_length;
} Message;

bool parse_message(const uint8_t *bytes, size_t n, Message *to); /* false: not one, or its token is none of ours */
bool parse_plaintext(const uint8_t *bytes, size_t n, Message *to); /* code, options and payload of an opened one */

typedef struct {
    uint8_t code;
    uint16_t id;
    uint32_t token;
    bool observe;
    const char *path;
    const uint8_t *echo, *payload;
    size_t echo_length, payload_length;
} Request;

size_t write_request(const Request *r, Oscore *o, uint8_t *to); /* a Confirmable one; to: MESSAGE_MAX bytes */
size_t write_empty(Type type, uint16_t id, uint8_t *to);

/* -------------------------------------------------------------------- nodes (node.c) */

typedef enum { DOWN, HANDSHAKE, GREETING, UP } State;

typedef struct {
    int fd, index;
    State state;
    SSL *ssl;
    Oscore *oscore;
    char *path, *identity;
    uint16_t id;
    uint32_t token;
    /* its one request under way (NSTART is 1) */
    bool busy, acked;
    int sends, echoes;
    uint32_t number; /* of the payload; NO_NUMBER: the greeting */
    uint8_t echo[ECHO_MAX], out[MESSAGE_MAX];
    size_t echo_length, out_length;
    uint64_t sent_at, deadline, wait_ns;
} Node;

enum { NO_NUMBER = UINT32_MAX };

extern Node *nodes;
extern int nodes_up, commands; /* commands counts the lines of standard input */
extern bool input_ended;
extern uint64_t retransmissions, unverified, strays, challenges, notifications;

void nodes_create(void);
void nodes_step(int timeout_ms); /* opens, reads, sends again */
void node_send(Node *node, uint32_t number, uint64_t now);

/* ---------------------------------------------------------------------- DTLS (dtls.c) */

extern const char *suite_name; /* of the last handshake */

void dtls_create(void);
void dtls_attach(Node *node);
int dtls_connect(Node *node); /* 1: done, 0: under way, -1: failed */
void dtls_tick(Node *node);   /* sends a lost flight again when it is time */

/* ------------------------------------------------------------ requests of a run (run.c) */

void run(void);                                               /* prints a line */
void run_answered(Node *node, uint8_t code, uint64_t now);    /* code 0: nobody answered, or a Reset came */

#endif
