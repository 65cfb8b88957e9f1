/*
 * Seals as a v1 node does: AES-CBC of the IV, of the node id and of the data, each padded with zero bytes, and an
 * HMAC-SHA1 over the plaintexts and the session ID. Key schedules are made once for each device.
 */
#include "load.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BLOCK = 16, MAC_BYTES = 20, MAX_SECRET = 256 };

typedef struct {
    uint8_t bytes[MAX_SECRET];
    size_t length;
} Secret;

typedef struct {
    char id[MAX_SECRET];
    Secret node_id, static_iv, iv_key, data_key, passphrase;
} Device;

struct Sealer {
    EVP_CIPHER_CTX *iv_cipher, *data_cipher;
    EVP_MAC_CTX *mac;
    uint8_t static_iv[BLOCK];
    uint8_t node_id[MAX_SECRET]; /* padded with zero bytes */
    size_t node_id_length, node_id_padded;
};

static Device *devices;
static size_t device_count;
static uint64_t random_state;

static size_t padded(size_t n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

/* ------------------------------------------------------------------ the key file */

/* The text between the quotes of a one-line TOML string; false if there is none. */
static bool unquote(const char *from, char *to) {
    char quote = *from++;
    if (quote != '"' && quote != '\'') return false;
    size_t n = 0;
    for (; *from && *from != quote && n < MAX_SECRET - 1; from++) {
        if (quote == '"' && *from == '\\' && from[1]) from++;
        to[n++] = *from;
    }
    to[n] = 0;
    return *from == quote;
}

static void set_secret(Secret *secret, const char *value) {
    if (strncmp(value, "hex:", 4)) {
        secret->length = strlen(value);
        memcpy(secret->bytes, value, secret->length);
        return;
    }
    value += 4;
    secret->length = strlen(value) / 2;
    for (size_t i = 0; i < secret->length; i++) {
        uint64_t byte;
        if (!get_hex((const uint8_t *)value + i * 2, 2, &byte)) die("key file: malformed hex");
        secret->bytes[i] = (uint8_t)byte;
    }
}

static void set_field(Device *d, const char *name, const char *value) {
    if (!strcmp(name, "id")) memcpy(d->id, value, strlen(value) + 1);
    else if (!strcmp(name, "node_id")) set_secret(&d->node_id, value);
    else if (!strcmp(name, "static_iv")) set_secret(&d->static_iv, value);
    else if (!strcmp(name, "iv_key")) set_secret(&d->iv_key, value);
    else if (!strcmp(name, "data_key")) set_secret(&d->data_key, value);
    else if (!strcmp(name, "passphrase")) set_secret(&d->passphrase, value);
}

void sealer_load(const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) die("%s: %s", path, strerror(errno));
    char line[1024], name[32], value[MAX_SECRET];
    while (fgets(line, sizeof line, f)) {
        const char *p = line;
        while (isspace((unsigned char)*p)) p++;
        if (!strncmp(p, "[[device]]", 10)) {
            devices = realloc(devices, (device_count + 1) * sizeof *devices);
            if (!devices) die("out of memory");
            memset(&devices[device_count++], 0, sizeof *devices);
            continue;
        }
        const char *equals = strchr(p, '=');
        if (!equals || !device_count || sscanf(p, "%31[a-z_]", name) != 1) continue;
        do equals++;
        while (isspace((unsigned char)*equals));
        if (unquote(equals, value)) set_field(&devices[device_count - 1], name, value);
    }
    fclose(f);
    if (getrandom(&random_state, sizeof random_state, 0) != (long)sizeof random_state) die("getrandom: %s", strerror(errno));
    random_state |= 1;
}

/* ----------------------------------------------------------------------- sealing */

static EVP_CIPHER_CTX *cipher(const Secret *key) {
    const EVP_CIPHER *kind = key->length == 16 ? EVP_aes_128_cbc() : key->length == 24 ? EVP_aes_192_cbc() : EVP_aes_256_cbc();
    if (key->length != 16 && key->length != 24 && key->length != 32) die("key file: a key has %zu bytes", key->length);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (!c || !EVP_EncryptInit_ex(c, kind, NULL, key->bytes, NULL)) die("AES: set-up failed");
    EVP_CIPHER_CTX_set_padding(c, 0);
    return c;
}

static EVP_MAC_CTX *mac(const Secret *key) {
    EVP_MAC *kind = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *c = kind ? EVP_MAC_CTX_new(kind) : NULL;
    EVP_MAC_free(kind);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA1" }, 0),
        OSSL_PARAM_construct_end(),
    };
    if (!c || !EVP_MAC_init(c, key->bytes, key->length, parameters)) die("HMAC: set-up failed");
    return c;
}

Sealer *sealer_for(const char *device) {
    const Device *d = devices;
    while (d < devices + device_count && strcmp(d->id, device)) d++;
    if (d == devices + device_count) die("the key file has no device %s", device);
    if (d->static_iv.length != BLOCK) die("the key file has no static_iv of 16 bytes for %s", device);
    Sealer *s = grab(1, sizeof *s);
    s->iv_cipher = cipher(&d->iv_key);
    s->data_cipher = cipher(&d->data_key);
    s->mac = mac(&d->passphrase);
    memcpy(s->static_iv, d->static_iv.bytes, BLOCK);
    memcpy(s->node_id, d->node_id.bytes, d->node_id.length);
    s->node_id_length = d->node_id.length;
    s->node_id_padded = padded(d->node_id.length);
    return s;
}

size_t sealer_size(const Sealer *s, size_t data_length) {
    return 2 * BLOCK + 1 + 2 * s->node_id_padded + 1 + 2 * padded(data_length) + 1 + 2 * MAC_BYTES;
}

static uint8_t *hex_of(uint8_t *to, const uint8_t *from, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *to++ = (uint8_t)digits[from[i] >> 4];
        *to++ = (uint8_t)digits[from[i] & 15];
    }
    return to;
}

/* Encrypts n bytes, a multiple of 16, and appends them as hex and a comma. */
static uint8_t *field(uint8_t *to, EVP_CIPHER_CTX *c, const uint8_t *iv, const uint8_t *plain, size_t n) {
    static uint8_t encrypted[1 << 16];
    int written = 0;
    if (!EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv) || !EVP_EncryptUpdate(c, encrypted, &written, plain, (int)n))
        die("AES failed");
    to = hex_of(to, encrypted, n);
    *to++ = ',';
    return to;
}

/* Two halves "%8x"; xorshift64* is enough: the gateway is measured, not the IV. */
static void make_iv(uint8_t *iv) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    put_hex(iv, random_state * 2685821657736338717u, BLOCK);
    for (int half = 0; half < BLOCK; half += BLOCK / 2)
        for (int i = half; i < half + BLOCK / 2 - 1 && iv[i] == '0'; i++) iv[i] = ' ';
}

void sealer_seal(Sealer *s, const uint8_t *data, size_t n, const char *session, size_t session_length, uint8_t *to) {
    static uint8_t plain[1 << 16];
    uint8_t iv[BLOCK], tag[MAC_BYTES];
    size_t tag_length = 0;
    make_iv(iv);
    memcpy(plain, data, n);
    memset(plain + n, 0, padded(n) - n);
    to = field(to, s->iv_cipher, s->static_iv, iv, BLOCK);
    to = field(to, s->data_cipher, iv, s->node_id, s->node_id_padded);
    to = field(to, s->data_cipher, iv, plain, padded(n));
    bool ok = EVP_MAC_init(s->mac, NULL, 0, NULL) && EVP_MAC_update(s->mac, s->node_id, s->node_id_length) &&
              EVP_MAC_update(s->mac, iv, BLOCK) && EVP_MAC_update(s->mac, data, n) &&
              EVP_MAC_update(s->mac, (const uint8_t *)session, session_length) &&
              EVP_MAC_final(s->mac, tag, &tag_length, sizeof tag);
    if (!ok || tag_length != MAC_BYTES) die("HMAC failed");
    hex_of(to, tag, MAC_BYTES);
}
