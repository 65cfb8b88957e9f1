#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Options opt = {
    .host = "127.0.0.1", .topic = "s/pub-%d/t", .filter = "s/#", .crowd_filter = "u/%d/x", .crowd_id = "node-%d",
    .psk_identity = "node-%d", .psk_hex = "00112233445566778899aabbccddeeff", .tls = "", .qos = 1, .size = 64, .window = 20,
    .protocol = 4, .connect_burst = 100, .addresses = 1, .topics = 1, .messages = 1000, .outstanding = 1000, .idle = 5, .timeout = 120,
};

__attribute__((noreturn)) static void usage(const char *problem) {
    fprintf(stderr, "mqttcrowd: %s\nThe head of main.c has the options.\n", problem);
    exit(2);
}

static const struct Row {
    const char *name;
    char kind; /* s text, i int, l long, d double, b flag */
    void *to;
} rows[] = {
    { "--host", 's', &opt.host }, { "--port", 'i', &opt.port }, { "--tls-port", 'i', &opt.tls_port },
    { "--publishers", 'i', &opt.publishers }, { "--subscribers", 'i', &opt.subscribers }, { "--crowd", 'i', &opt.crowd },
    { "--filters", 'i', &opt.filters }, { "--psk-identity", 's', &opt.psk_identity }, { "--psk-key", 's', &opt.psk_hex },
    { "--tls", 's', &opt.tls }, { "--crowd-id", 's', &opt.crowd_id }, { "--crowd-filter", 's', &opt.crowd_filter },
    { "--persist", 'b', &opt.persist }, { "--addresses", 'i', &opt.addresses },
    { "--connect-burst", 'i', &opt.connect_burst }, { "--protocol", 'i', &opt.protocol }, { "--topic", 's', &opt.topic },
    { "--topics", 'i', &opt.topics },
    { "--filter", 's', &opt.filter }, { "--qos", 'i', &opt.qos }, { "--messages", 'l', &opt.messages },
    { "--size", 'i', &opt.size }, { "--window", 'i', &opt.window }, { "--outstanding", 'l', &opt.outstanding },
    { "--rate", 'l', &opt.rate }, { "--idle", 'd', &opt.idle }, { "--timeout", 'd', &opt.timeout },
    { "--storm", 'b', &opt.storm }, { "--once", 'b', &opt.once }, { "--tls-floor", 'i', &opt.tls_floor },
};

static void take(const struct Row *row, const char *value) {
    char *end = "";
    switch (row->kind) {
    case 'b': *(bool *)row->to = true; break;
    case 's': *(const char **)row->to = value; break;
    case 'i': *(int *)row->to = (int)strtol(value, &end, 10); break;
    case 'l': *(long *)row->to = strtol(value, &end, 10); break;
    default: *(double *)row->to = strtod(value, &end);
    }
    if (*end) usage(row->name);
}

static void check(void) {
    if (opt.tls_floor > 0) return;
    if (opt.port < 1) usage("--port is missing");
    if (opt.qos < 0 || opt.qos > 2) usage("QoS is 0, 1 or 2");
    if (opt.protocol != 4 && opt.protocol != 5) usage("--protocol is 4 or 5");
    if (*opt.tls && strcmp(opt.tls, "1.2") && strcmp(opt.tls, "1.3")) usage("--tls is 1.2 or 1.3");
    if (opt.publishers < 0 || opt.subscribers < 0 || opt.crowd < 0 || opt.filters < 0) usage("less than none");
    if (opt.publishers + opt.subscribers + opt.crowd < 1) usage("nobody connects");
    if (opt.window < 1 || opt.window > 65535 || opt.size < 9 || opt.connect_burst < 1 || opt.addresses < 1 || opt.addresses > 254 ||
        opt.topics < 1)
        usage("out of range");
    if (opt.messages < 1 || opt.outstanding < 1 || opt.messages > 100000000) usage("--messages, --outstanding: out of range");
    if (opt.storm && !opt.crowd) usage("--storm needs a --crowd");
    if (opt.addresses > 1 && strncmp(opt.host, "127.", 4)) usage("--addresses: on the loopback interface only");
}

void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        size_t r = 0;
        while (r < sizeof rows / sizeof *rows && strcmp(argv[i], rows[r].name)) r++;
        if (r == sizeof rows / sizeof *rows) usage(argv[i]);
        bool valued = rows[r].kind != 'b';
        if (valued && i + 1 == argc) usage("an option lacks its value");
        take(&rows[r], valued ? argv[++i] : NULL);
    }
    check();
}
