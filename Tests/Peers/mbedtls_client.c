/* A node as ESP-IDF makes them: mbedTLS, DTLS 1.2 with a pre-shared key, small datagrams. Each line of standard input is a message
 * in hex that it sends; each message that it receives is printed in hex.
 *
 *   mbedtls_client PORT IDENTITY KEY-IN-HEX SUITE [mtu=N] [bind=PORT] [save=FILE] [resume=FILE] [vanish]
 *
 * It prints "READY suite", and "ENDED" with mbedTLS's number when the server closed. At the end of input it says goodbye; with
 * "vanish" it does not, as a node that lost power. Exit status 1: no handshake within seven seconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>

#define MAX_BYTES 4096

struct timer {
    long long begin, intermediate, final;
};

static long long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static void set_timer(void *context, uint32_t intermediate, uint32_t final) {
    struct timer *timer = context;
    timer->begin = now_ms();
    timer->intermediate = intermediate;
    timer->final = final;
}

static int get_timer(void *context) {
    struct timer *timer = context;
    long long passed = now_ms() - timer->begin;
    if (timer->final == 0) return -1;
    return passed >= timer->final ? 2 : passed >= timer->intermediate;
}

static int send_datagram(void *context, const unsigned char *bytes, size_t count) {
    ssize_t sent = send(*(int *)context, bytes, count, 0);
    /* A port that refused is a datagram that was lost. */
    return sent < 0 ? (int)count : (int)sent;
}

static int receive_datagram(void *context, unsigned char *bytes, size_t count, uint32_t timeout) {
    int descriptor = *(int *)context;
    long long deadline = now_ms() + timeout;
    for (;;) {
        long long left = deadline - now_ms();
        struct pollfd entry = {.fd = descriptor, .events = POLLIN};
        if (left <= 0 || poll(&entry, 1, (int)left) <= 0) return MBEDTLS_ERR_SSL_TIMEOUT;
        ssize_t received = recv(descriptor, bytes, count, MSG_DONTWAIT);
        if (received >= 0) return (int)received;
    }
}

static size_t hex(const char *text, unsigned char *bytes) {
    size_t count = 0;
    unsigned value;
    while (count < MAX_BYTES && sscanf(text + 2 * count, "%2x", &value) == 1) bytes[count++] = (unsigned char)value;
    return count;
}

static void fail(const char *what, int status) {
    printf("FAILED %s -0x%04x\n", what, (unsigned)-status);
    exit(1);
}

static int bound_socket(int port, int own) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(own)};
    /* For a moment who had the port before may still have it. */
    for (int tries = 0; bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0; tries++) {
        if (errno != EADDRINUSE || tries == 500) fail("bind", -errno);
        poll(NULL, 0, 10);
    }
    address.sin_port = htons(port);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail("connect", -errno);
    return descriptor;
}

static void save(mbedtls_ssl_context *ssl, const char *path) {
    mbedtls_ssl_session session;
    unsigned char bytes[MAX_BYTES];
    size_t count = 0;
    mbedtls_ssl_session_init(&session);
    int status = mbedtls_ssl_get_session(ssl, &session);
    if (status == 0) status = mbedtls_ssl_session_save(&session, bytes, sizeof bytes, &count);
    FILE *file = fopen(path, "wb");
    if (status != 0 || file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) fail("save", status);
}

static void resume(mbedtls_ssl_context *ssl, const char *path) {
    mbedtls_ssl_session session;
    unsigned char bytes[MAX_BYTES];
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail("open", -errno);
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    mbedtls_ssl_session_init(&session);
    int status = mbedtls_ssl_session_load(&session, bytes, count);
    if (status == 0) status = mbedtls_ssl_set_session(ssl, &session);
    if (status != 0) fail("resume", status);
}

int main(int count, char **arguments) {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    struct timer timer = {0};
    unsigned char key[64], bytes[MAX_BYTES];
    int suites[2] = {0}, mtu = 0, own = 0, vanish = 0, status;
    const char *saved = NULL, *resumed = NULL;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count < 5 || strlen(arguments[3]) > 2 * sizeof key) fail("arguments", 0);
    for (int index = 5; index < count; index++) {
        const char *argument = arguments[index];
        if (sscanf(argument, "mtu=%d", &mtu) == 1 || sscanf(argument, "bind=%d", &own) == 1) continue;
        if (strncmp(argument, "save=", 5) == 0) saved = argument + 5;
        else if (strncmp(argument, "resume=", 7) == 0) resumed = argument + 7;
        else if (strcmp(argument, "vanish") == 0) vanish = 1;
        else fail(argument, 0);
    }
    suites[0] = mbedtls_ssl_get_ciphersuite_id(arguments[4]);
    if (suites[0] == 0) fail("suite", 0);

    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    status = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
    if (status == 0)
        status = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                                             MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
    mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    /* Three transmissions of a flight, seven seconds in all. */
    mbedtls_ssl_conf_handshake_timeout(&config, 1000, 4000);
    mbedtls_ssl_conf_ciphersuites(&config, suites);
    if (status == 0)
        status = mbedtls_ssl_conf_psk(&config, key, hex(arguments[3], key), (const unsigned char *)arguments[2],
                                      strlen(arguments[2]));
    if (status == 0) status = mbedtls_ssl_setup(&ssl, &config);
    if (status != 0) fail("setup", status);
    int descriptor = bound_socket(atoi(arguments[1]), own);
    mbedtls_ssl_set_bio(&ssl, &descriptor, send_datagram, NULL, receive_datagram);
    mbedtls_ssl_set_timer_cb(&ssl, &timer, set_timer, get_timer);
    if (mtu > 0) mbedtls_ssl_set_mtu(&ssl, (uint16_t)mtu);
    if (resumed != NULL) resume(&ssl, resumed);

    long long deadline = now_ms() + 20000;
    do {
        status = mbedtls_ssl_handshake(&ssl);
    } while ((status == MBEDTLS_ERR_SSL_WANT_READ || status == MBEDTLS_ERR_SSL_WANT_WRITE) && now_ms() < deadline);
    if (status != 0) fail("handshake", status);
    printf("READY %s\n", mbedtls_ssl_get_ciphersuite(&ssl));
    if (saved != NULL) save(&ssl, saved);

    char *line = NULL;
    size_t capacity = 0;
    /* Standard input is not buffered, so that poll tells the truth about it. */
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        struct pollfd entries[2] = {{.fd = 0, .events = POLLIN}, {.fd = descriptor, .events = POLLIN}};
        if (poll(entries, 2, -1) < 0) continue;
        if (entries[1].revents != 0) {
            mbedtls_ssl_conf_read_timeout(&config, 1);
            status = mbedtls_ssl_read(&ssl, bytes, sizeof bytes);
            if (status > 0) {
                for (int index = 0; index < status; index++) printf("%02x", bytes[index]);
                printf("\n");
            } else if (status != MBEDTLS_ERR_SSL_WANT_READ && status != MBEDTLS_ERR_SSL_TIMEOUT) {
                printf("ENDED -0x%04x\n", (unsigned)-status);
                return 0;
            }
        }
        if (entries[0].revents != 0) {
            if (getline(&line, &capacity, stdin) < 0) break;
            size_t length = hex(line, bytes);
            status = mbedtls_ssl_write(&ssl, bytes, length);
            if (status != (int)length) fail("write", status);
        }
    }
    if (!vanish) mbedtls_ssl_close_notify(&ssl);
    return 0;
}
