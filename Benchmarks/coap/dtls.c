/* DTLS 1.2 with a pre-shared key: one session of OpenSSL for each node, on its connected socket. */
#include "coap.h"

#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

enum { MTU = 1280 };

const char *suite_name = "";

static SSL_CTX *context;
static uint8_t psk[64];
static size_t psk_length;

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_max, uint8_t *key, unsigned key_max) {
    (void)hint;
    const Node *node = SSL_get_app_data(ssl);
    if (strlen(node->identity) >= identity_max || psk_length > key_max) return 0;
    strcpy(identity, node->identity);
    memcpy(key, psk, psk_length);
    return (unsigned)psk_length;
}

void dtls_create(void) {
    if (strncmp(opt.psk, "hex:", 4)) {
        psk_length = strlen(opt.psk);
        if (psk_length > sizeof psk) die("--psk is too long");
        memcpy(psk, opt.psk, psk_length);
    } else {
        psk_length = (strlen(opt.psk) - 4) / 2;
        if (psk_length > sizeof psk) die("--psk is too long");
        for (size_t i = 0; i < psk_length; i++) {
            uint64_t byte;
            if (!get_hex((const uint8_t *)opt.psk + 4 + 2 * i, 2, &byte)) die("--psk: not hex");
            psk[i] = (uint8_t)byte;
        }
    }
    char suites[512];
    snprintf(suites, sizeof suites, "%s:@SECLEVEL=0", opt.suites); /* newer ones leave CCM_8 out above that */
    context = SSL_CTX_new(DTLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) || !SSL_CTX_set_cipher_list(context, suites))
        die("DTLS: set-up failed, --suites %s", opt.suites);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_psk_client_callback(context, give_psk);
}

void dtls_attach(Node *node) {
    BIO *bio = BIO_new_dgram(node->fd, BIO_NOCLOSE);
    struct sockaddr_in peer = { .sin_family = AF_INET };
    node->ssl = SSL_new(context);
    if (!bio || !node->ssl || getpeername(node->fd, (struct sockaddr *)&peer, &(socklen_t){ sizeof peer })) die("DTLS: set-up failed");
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
    SSL_set_bio(node->ssl, bio, bio);
    SSL_set_app_data(node->ssl, node);
    SSL_set_mtu(node->ssl, MTU);
    SSL_set_connect_state(node->ssl);
}

int dtls_connect(Node *node) {
    ERR_clear_error();
    int n = SSL_do_handshake(node->ssl);
    if (n == 1) {
        suite_name = SSL_get_cipher_name(node->ssl);
        return 1;
    }
    int problem = SSL_get_error(node->ssl, n);
    return problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

void dtls_tick(Node *node) {
    ERR_clear_error();
    if (DTLSv1_handle_timeout(node->ssl) < 0) die("node %d: no answer in the DTLS handshake", node->index);
}
