#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Options opt = {
    .host = "127.0.0.1", .id = "node-%d", .topic = "s/node-%d/t", .session_topic = "nodes/node-%d/sessionID",
    .sub_id = "meter", .connections = 1, .qos = 1, .sub_qos = -1, .size = 64, .window = 20, .connect_burst = 100,
    .messages = -1, .expect = -1, .idle = 5, .linger = 200, .timeout = 300,
};

__attribute__((noreturn)) static void usage(const char *problem) {
    fprintf(stderr, "mqttload: %s\n"
            "usage: mqttload [--port P [--host H] [--conns N] [--id PAT] [--user PAT] [--pass PAT] [--topic PAT]\n"
            "    [--qos 0|1] [--messages M] [--size B] [--payload-file F | --seal KEYFILE [--session-topic PAT]\n"
            "    [--session-qos Q]] [--window W] [--rate R] [--outstanding O] [--hold S]]\n"
            "  [--sub HOST PORT FILTER [--sub-qos Q] [--sub-id ID] [--sub-user U] [--sub-pass P] [--persist] [--expect N]]\n"
            "  [--reconnect] [--connect-burst N] [--idle S] [--linger MS] [--timeout S]\n"
            "The head of main.c explains each.\n", problem);
    exit(2);
}

typedef struct {
    const char *name;
    char kind; /* s text, i int, l long, d double, b flag, m the meter's three values */
    void *to;
} Row;

static const Row rows[] = {
    { "--host", 's', &opt.host }, { "--port", 'i', &opt.port }, { "--conns", 'i', &opt.connections },
    { "--id", 's', &opt.id }, { "--user", 's', &opt.user }, { "--pass", 's', &opt.password },
    { "--topic", 's', &opt.topic }, { "--qos", 'i', &opt.qos }, { "--messages", 'l', &opt.messages },
    { "--size", 'i', &opt.size }, { "--payload-file", 's', &opt.payload_file }, { "--seal", 's', &opt.key_file },
    { "--session-topic", 's', &opt.session_topic }, { "--session-qos", 'i', &opt.session_qos },
    { "--window", 'i', &opt.window }, { "--rate", 'l', &opt.rate }, { "--outstanding", 'l', &opt.outstanding },
    { "--hold", 'd', &opt.hold }, { "--sub", 'm', NULL }, { "--sub-qos", 'i', &opt.sub_qos },
    { "--sub-id", 's', &opt.sub_id }, { "--sub-user", 's', &opt.sub_user }, { "--sub-pass", 's', &opt.sub_password },
    { "--persist", 'b', &opt.persist }, { "--expect", 'l', &opt.expect }, { "--reconnect", 'b', &opt.reconnect },
    { "--connect-burst", 'i', &opt.connect_burst }, { "--idle", 'd', &opt.idle }, { "--linger", 'd', &opt.linger },
    { "--timeout", 'd', &opt.timeout },
};

/* Takes the values of one option; how many there were. */
static int take(const Row *row, char **values, int left) {
    int need = row->kind == 'b' ? 0 : row->kind == 'm' ? 3 : 1;
    if (left < need) usage("an option lacks its value");
    char *end = "";
    switch (row->kind) {
    case 'b': *(bool *)row->to = true; break;
    case 's': *(const char **)row->to = values[0]; break;
    case 'i': *(int *)row->to = (int)strtol(values[0], &end, 10); break;
    case 'l': *(long *)row->to = strtol(values[0], &end, 10); break;
    case 'd': *(double *)row->to = strtod(values[0], &end); break;
    default:
        opt.subscribe = true;
        opt.sub_host = values[0];
        opt.sub_port = (int)strtol(values[1], &end, 10);
        opt.sub_filter = values[2];
    }
    if (*end) usage(row->name);
    return need;
}

static void check(void) {
    if (!opt.publish && !opt.subscribe) usage("neither --port nor --sub");
    if (opt.qos < 0 || opt.qos > 1 || opt.sub_qos > 1 || opt.session_qos < 0 || opt.session_qos > 1) usage("QoS is 0 or 1");
    if (opt.connections < 1 || opt.window < 1 || opt.window > 65535 || opt.size < 9 || opt.connect_burst < 1)
        usage("out of range");
    if (opt.outstanding && !opt.subscribe) usage("--outstanding needs --sub");
    if (!opt.key_file) return;
    if (opt.payload_file) usage("--seal or --payload-file, not both");
    if (opt.reconnect) usage("--seal without --reconnect: a sealed payload is good for one session ID");
    if (opt.size > 32768) usage("--seal takes at most 32768 bytes");
}

void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        size_t r = 0;
        while (r < sizeof rows / sizeof *rows && strcmp(argv[i], rows[r].name)) r++;
        if (r == sizeof rows / sizeof *rows) usage(argv[i]);
        i += take(&rows[r], argv + i + 1, argc - i - 1);
    }
    opt.linger /= 1000;
    opt.publish = opt.port > 0;
    if (opt.payload_file) lines_load(opt.payload_file);
    long lines = (long)lines_count();
    if (opt.messages < 0) opt.messages = !opt.publish ? 0 : opt.payload_file ? lines : 1000;
    if (opt.payload_file && opt.messages > lines) usage("more --messages than lines");
    if (opt.expect < 0) opt.expect = opt.messages;
    if (opt.sub_qos < 0) opt.sub_qos = opt.qos;
    check();
    if (opt.key_file) sealer_load(opt.key_file);
}
