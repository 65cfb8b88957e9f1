/* OSCORE (RFC 8613) of a node: AES-CCM-16-64-128, HKDF SHA-256. Only requests, and the answers to them. */
#include "coap.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

enum { KEY = 16, NONCE = 13, TAG = 8, ID_MAX = 7, PIV_MAX = 5, SECRET_MAX = 64, ID_CONTEXT_MAX = 16, ALGORITHM = 10, NIL = 0xf6 };

typedef struct {
    uint8_t bytes[SECRET_MAX];
    size_t length;
} Bytes;

struct Oscore {
    EVP_CIPHER_CTX *seal, *open;
    Bytes sender, recipient, id_context;
    uint8_t common_iv[NONCE];
    uint64_t sequence;
    /* of the request that was sealed last */
    uint8_t nonce[NONCE], aad[64];
    size_t aad_length;
};

static EVP_KDF_CTX *kdf;

/* ------------------------------------------------------------ a context */

static size_t add_bstr(uint8_t *to, const uint8_t *from, size_t n) {
    to[0] = (uint8_t)(0x40 | n); /* all of ours are shorter than 24 bytes */
    memcpy(to + 1, from, n);
    return n + 1;
}

static void derive(const Bytes *secret, const Bytes *salt, const Bytes *id, const Bytes *id_context, const char *type, size_t n,
                   uint8_t *to) {
    uint8_t info[64] = { 0x85 };
    size_t length = 1 + add_bstr(info + 1, id->bytes, id->length);
    if (id_context->length) length += add_bstr(info + length, id_context->bytes, id_context->length);
    else info[length++] = NIL;
    info[length++] = ALGORITHM;
    info[length++] = (uint8_t)(0x60 | strlen(type));
    memcpy(info + length, type, strlen(type));
    length += strlen(type);
    info[length++] = (uint8_t)n;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret->bytes, secret->length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt->bytes, salt->length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, length),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX_reset(kdf);
    if (EVP_KDF_derive(kdf, to, n, parameters) != 1) die("OSCORE: HKDF failed");
}

static EVP_CIPHER_CTX *cipher(const uint8_t *key, int encrypts) {
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (!c || !EVP_CipherInit_ex(c, EVP_aes_128_ccm(), NULL, NULL, NULL, encrypts) ||
        !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, NONCE, NULL) || !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, NULL) ||
        !EVP_CipherInit_ex(c, NULL, NULL, key, NULL, encrypts))
        die("OSCORE: set-up failed");
    return c;
}

/* "-" is empty. */
static bool read_hex(const char *text, size_t most, Bytes *to) {
    memset(to, 0, sizeof *to);
    if (!strcmp(text, "-")) return true;
    to->length = strlen(text) / 2;
    if (strlen(text) % 2 || to->length > most) return false;
    for (size_t i = 0; i < to->length; i++) {
        uint64_t byte;
        if (!get_hex((const uint8_t *)text + 2 * i, 2, &byte)) return false;
        to->bytes[i] = (uint8_t)byte;
    }
    return true;
}

static Oscore *make(const Bytes *secret, const Bytes *salt, const Bytes *sender, const Bytes *recipient, const Bytes *id_context) {
    Oscore *o = grab(1, sizeof *o);
    uint8_t key[KEY];
    o->sender = *sender;
    o->recipient = *recipient;
    o->id_context = *id_context;
    derive(secret, salt, sender, id_context, "Key", KEY, key);
    o->seal = cipher(key, 1);
    derive(secret, salt, recipient, id_context, "Key", KEY, key);
    o->open = cipher(key, 0);
    derive(secret, salt, &(Bytes){ .length = 0 }, id_context, "IV", NONCE, o->common_iv);
    return o;
}

Oscore **oscore_read(const char *path, int first, int count) {
    FILE *f = fopen(path, "r");
    if (!f) die("%s: cannot be read", path);
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    kdf = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    if (!kdf) die("OSCORE: no HKDF");
    Oscore **made = grab((size_t)count, sizeof *made);
    char line[512], fields[5][160];
    for (int i = 0; i < first + count; i++) {
        if (!fgets(line, sizeof line, f)) die("%s: only %d lines", path, i);
        if (i < first) continue;
        Bytes secret, salt, sender, recipient, id_context;
        if (sscanf(line, "%159s %159s %159s %159s %159s", fields[0], fields[1], fields[2], fields[3], fields[4]) != 5 ||
            !read_hex(fields[0], SECRET_MAX, &secret) || !read_hex(fields[1], SECRET_MAX, &salt) ||
            !read_hex(fields[2], ID_MAX, &sender) || !read_hex(fields[3], ID_MAX, &recipient) ||
            !read_hex(fields[4], ID_CONTEXT_MAX, &id_context))
            die("%s: line %d: secret salt sender recipient id-context in hex, - for none", path, i + 1);
        made[i - first] = make(&secret, &salt, &sender, &recipient, &id_context);
    }
    fclose(f);
    return made;
}

/* ----------------------------------------------------------- a message */

static void make_nonce(const Oscore *o, const Bytes *id, const uint8_t *piv, size_t piv_length, uint8_t *to) {
    memset(to, 0, NONCE);
    to[0] = (uint8_t)id->length;
    memcpy(to + 1 + ID_MAX - id->length, id->bytes, id->length);
    memcpy(to + NONCE - piv_length, piv, piv_length);
    for (int i = 0; i < NONCE; i++) to[i] ^= o->common_iv[i];
}

static void make_aad(Oscore *o, const uint8_t *piv, size_t piv_length) {
    uint8_t external[32] = { 0x85, 0x01, 0x81, ALGORITHM };
    size_t n = 4 + add_bstr(external + 4, o->sender.bytes, o->sender.length);
    n += add_bstr(external + n, piv, piv_length);
    external[n++] = 0x40; /* no Class I options */
    memcpy(o->aad, "\x83\x68" "Encrypt0" "\x40", 11);
    o->aad_length = 11 + add_bstr(o->aad + 11, external, n);
}

size_t oscore_seal(Oscore *o, const uint8_t *plain, size_t n, uint8_t *sealed, uint8_t *option, size_t *option_length) {
    uint64_t sequence = o->sequence++;
    size_t piv_length = 1, at = 0;
    while (piv_length < PIV_MAX && sequence >> 8 * piv_length) piv_length++;
    uint8_t piv[PIV_MAX];
    for (size_t i = 0; i < piv_length; i++) piv[i] = (uint8_t)(sequence >> 8 * (piv_length - 1 - i));
    option[at++] = (uint8_t)(piv_length | 0x08 | (o->id_context.length ? 0x10 : 0));
    memcpy(option + at, piv, piv_length);
    at += piv_length;
    if (o->id_context.length) {
        option[at++] = (uint8_t)o->id_context.length;
        memcpy(option + at, o->id_context.bytes, o->id_context.length);
        at += o->id_context.length;
    }
    memcpy(option + at, o->sender.bytes, o->sender.length);
    *option_length = at + o->sender.length;

    make_nonce(o, &o->sender, piv, piv_length, o->nonce);
    make_aad(o, piv, piv_length);
    int length, last;
    if (!EVP_EncryptInit_ex(o->seal, NULL, NULL, NULL, o->nonce) || !EVP_EncryptUpdate(o->seal, NULL, &length, NULL, (int)n) ||
        !EVP_EncryptUpdate(o->seal, NULL, &length, o->aad, (int)o->aad_length) ||
        !EVP_EncryptUpdate(o->seal, sealed, &length, plain, (int)n) || !EVP_EncryptFinal_ex(o->seal, sealed + length, &last) ||
        !EVP_CIPHER_CTX_ctrl(o->seal, EVP_CTRL_AEAD_GET_TAG, TAG, sealed + n))
        die("OSCORE: sealing failed");
    return n + TAG;
}

long oscore_open(Oscore *o, const uint8_t *option, size_t option_length, const uint8_t *sealed, size_t n, uint8_t *plain) {
    size_t piv_length = option_length ? option[0] & 7 : 0;
    if (n < TAG + 1 || piv_length > PIV_MAX || option_length < piv_length) return -1;
    uint8_t own[NONCE], tag[TAG];
    if (piv_length) make_nonce(o, &o->recipient, option + 1, piv_length, own);
    n -= TAG;
    memcpy(tag, sealed + n, TAG);
    int length;
    if (!EVP_CIPHER_CTX_ctrl(o->open, EVP_CTRL_AEAD_SET_TAG, TAG, tag) ||
        !EVP_DecryptInit_ex(o->open, NULL, NULL, NULL, piv_length ? own : o->nonce) ||
        !EVP_DecryptUpdate(o->open, NULL, &length, NULL, (int)n) ||
        !EVP_DecryptUpdate(o->open, NULL, &length, o->aad, (int)o->aad_length) ||
        EVP_DecryptUpdate(o->open, plain, &length, sealed, (int)n) != 1)
        return -1;
    return length;
}
