/*
 * What a TLS-PSK server connection costs in OpenSSL alone: handshakes in memory, idle connections, buffers released. The clients
 * are gone when it is measured.
 */
#include "crowd.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static unsigned find_key(SSL *ssl, const char *identity, unsigned char *key, unsigned max) {
    (void)ssl, (void)identity;
    size_t n = strlen(opt.psk_hex) / 2;
    for (size_t i = 0; i < n && i < max; i++) {
        uint64_t byte = 0;
        get_hex((const uint8_t *)opt.psk_hex + 2 * i, 2, &byte);
        key[i] = (uint8_t)byte;
    }
    return (unsigned)n;
}

static SSL_CTX *server_context(void) {
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (!made || !SSL_CTX_set_cipher_list(made, "kECDHEPSK:kPSK") || !SSL_CTX_set_num_tickets(made, 0))
        die("TLS: set-up failed");
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(made, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_psk_server_callback(made, find_key);
    return made;
}

static long resident_kb(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*s %ld", &pages) != 1) die("no /proc");
    fclose(f);
    return pages * 4;
}

static void carry(SSL *from, SSL *to) {
    char bytes[4096];
    int n;
    while ((n = BIO_read(SSL_get_wbio(from), bytes, sizeof bytes)) > 0) BIO_write(SSL_get_rbio(to), bytes, n);
}

static SSL *served(SSL_CTX *server_side, SSL_CTX *client_side) {
    SSL *server = SSL_new(server_side), *client = SSL_new(client_side);
    SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    char byte = '.';
    for (int turn = 0; turn < 8; turn++) {
        SSL_do_handshake(client);
        carry(client, server);
        SSL_do_handshake(server);
        carry(server, client);
    }
    /* a byte each way, as CONNECT and CONNACK would */
    bool ok = SSL_write(client, &byte, 1) == 1;
    carry(client, server);
    ok = ok && SSL_read(server, &byte, 1) == 1 && SSL_write(server, &byte, 1) == 1;
    if (!ok) die("TLS: the handshake failed");
    tls_version = SSL_get_version(server);
    SSL_read(server, &byte, 1); /* nothing there: its read buffer goes */
    SSL_set_bio(server, NULL, NULL);
    SSL_free(client);
    return server;
}

void floor_print(int connections) {
    SSL_CTX *server_side = server_context(), *client_side = client_context();
    SSL **kept = grab((size_t)connections, sizeof *kept);
    memset(kept, 0xff, (size_t)connections * sizeof *kept); /* its pages are counted before */
    SSL *first = served(server_side, client_side);
    malloc_trim(0);
    long before = resident_kb();
    for (int i = 0; i < connections; i++) kept[i] = served(server_side, client_side);
    malloc_trim(0);
    long after = resident_kb();
    printf("{\"connections\":%d,\"tls\":\"%s\",\"openssl_kb\":%.2f}\n", connections, tls_version,
           (double)(after - before) / connections);
    SSL_free(first);
}
