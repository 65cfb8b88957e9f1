#include "coap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Options opt = {
    .host = "127.0.0.1", .path = "ps/s/node-%d/t", .method = "post", .psk_identity = "node-%d", .suites = "PSK-AES128-CCM8",
    .nodes = 50, .size = 64, .burst = 50, .requests = 10000, .timeout = 120,
};

__attribute__((noreturn)) static void usage(const char *problem) {
    fprintf(stderr, "coapcrowd: %s\nThe head of main.c has the options.\n", problem);
    exit(2);
}

static const struct Row {
    const char *name;
    char kind; /* s text, i int, l long, d double, b flag */
    void *to;
} rows[] = {
    { "--host", 's', &opt.host }, { "--port", 'i', &opt.port }, { "--nodes", 'i', &opt.nodes }, { "--first", 'i', &opt.first },
    { "--path", 's', &opt.path }, { "--method", 's', &opt.method }, { "--size", 'i', &opt.size }, { "--psk", 's', &opt.psk },
    { "--psk-identity", 's', &opt.psk_identity }, { "--suites", 's', &opt.suites }, { "--oscore", 's', &opt.oscore },
    { "--requests", 'l', &opt.requests }, { "--rate", 'l', &opt.rate }, { "--timeout", 'd', &opt.timeout },
    { "--burst", 'i', &opt.burst }, { "--observe", 'b', &opt.observe }, { "--once", 'b', &opt.once },
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
    if (opt.port < 1) usage("--port is missing");
    if (opt.nodes < 1 || opt.nodes > 20000 || opt.first < 0 || opt.burst < 1) usage("--nodes, --first, --burst: out of range");
    if (strcmp(opt.method, "post") && strcmp(opt.method, "put")) usage("--method is post or put");
    if (opt.size < 9 || opt.size > 1024) usage("--size: out of range");
    if (opt.requests < 1 || opt.requests > 100000000 || opt.rate < 0) usage("--requests, --rate: out of range");
    if (opt.psk && opt.oscore) usage("--psk or --oscore, not both");
    if (opt.oscore && opt.observe) usage("--observe is for nodes without OSCORE");
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
