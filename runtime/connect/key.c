/* The key file.
 *
 * Happy path: one line of hexadecimal digits or base64, or a line a rank. What TLS gets is derived
 * from it, so that any length serves, the key itself stays in no memory, and nodes whose protocols
 * differ do not get past the handshake. Failure modes handled: no file, a file that others may read
 * or change, more than a line, other characters, too short or too long, bytes that cannot have been
 * drawn at random. */
#include "connect/secure.h"

#include "connect/wire.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAST = 16, MOST = 512, TEXT = 1100, DISTINCT = 8 };
enum { MOST_RANKS = 4096, FILE_MOST = 1 << 20 };

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c - 'A' + 10;
}

/* Bytes, or -1: these are no hexadecimal digits. */
static int from_hex(const char *text, size_t length, unsigned char *bytes)
{
    if (length % 2)
        return -1;
    for (size_t i = 0; i < length; i++)
        if (!isxdigit((unsigned char)text[i]))
            return -1;
    for (size_t i = 0; i < length; i += 2)
        bytes[i / 2] = (unsigned char)(16 * digit(text[i]) + digit(text[i + 1]));
    return (int)(length / 2);
}

/* Padding may be left out. */
static int from_base64(const char *text, size_t length, unsigned char *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = 0;
    while (padding < 2 && length > 0 && text[length - 1] == '=') {
        length--;
        padding++;
    }
    if (length % 4 == 1 || (padding && (length + padding) % 4))
        return -1;
    unsigned bits = 0;
    int count = 0;
    for (size_t i = 0; i < length; i++) {
        const char *at = text[i] ? strchr(digits, text[i]) : NULL;
        if (!at)
            return -1;
        bits = bits << 6 | (unsigned)(at - digits);
        if (i % 4)
            bytes[count++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return count;
}

static const char *judge(const unsigned char *bytes, int count)
{
    bool seen[256] = {false};
    int distinct = 0;
    for (int i = 0; i < count; i++) {
        distinct += !seen[bytes[i]];
        seen[bytes[i]] = true;
    }
    if (count < 0)
        return "not one line of hexadecimal digits or base64; \"openssl rand -hex 32\" makes a key";
    if (count < LEAST)
        return "a key has 128 bits at least; \"openssl rand -hex 32\" makes one";
    /* of 16 random bytes fewer than 8 are different once in 10^9 */
    return distinct < DISTINCT ? "not random; \"openssl rand -hex 32\" makes a key" : NULL;
}

/* What TLS gets of a line. NULL, or what is wrong with it. */
static const char *derive(const char *text, size_t length, unsigned char secret[RG_KEY_BYTES])
{
    unsigned char bytes[TEXT];
    unsigned size = RG_KEY_BYTES;
    char label[48];
    if (length > TEXT)
        return "a key has 4096 bits at most";
    int label_bytes = snprintf(label, sizeof label, "RingTMP mesh, protocol %u", RG_WIRE_PROTOCOL);
    int count = from_hex(text, length, bytes);
    if (count < 0)
        count = from_base64(text, length, bytes);
    const char *wrong = count > MOST ? "a key has 4096 bits at most" : judge(bytes, count);
    if (!wrong && !HMAC(EVP_sha256(), bytes, count, (const unsigned char *)label,
                        (size_t)label_bytes, secret, &size))
        wrong = "no SHA-256 to derive a key with";
    OPENSSL_cleanse(bytes, sizeof bytes);
    return wrong;
}

/* ---- keys of a rank ---- */

static size_t line_length(const char *text)
{
    size_t length = strcspn(text, "\n");
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    return length;
}

/* Behind "rank R of N": N lines. */
static int derive_pairs(const char *file, const char *text, struct rg_key *key, struct rg_error *e)
{
    key->pairs = calloc((size_t)key->ranks, sizeof *key->pairs);
    if (!key->pairs)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    for (int r = 0; r < key->ranks; r++) {
        const char *end = strchr(text, '\n'), *wrong = NULL;
        size_t length = end ? line_length(end + 1) : 0;
        if (length == 0)
            return rg_fail_at(e, file, r + 2, "%d keys are wanted, one for each rank", key->ranks);
        text = end + 1;
        bool own = length == 1 && *text == '-';
        if (own != (r == key->rank))
            wrong = own ? "a key is wanted: only a rank's own line is \"-\""
                        : "this is the rank's own line: \"-\" is wanted";
        else if (!own)
            wrong = derive(text, length, key->pairs[r]);
        if (wrong)
            return rg_fail_at(e, file, r + 2, "%s", wrong);
    }
    const char *rest = strchr(text, '\n');
    if (rest && rest[strspn(rest, " \t\r\n")])
        return rg_fail_at(e, file, key->ranks + 2, "more than %d keys", key->ranks);
    return 0;
}

static int derive_all(const char *file, const char *text, size_t length, struct rg_key *key,
                      struct rg_error *e)
{
    int used = 0;
    *key = (struct rg_key){.rank = -1};
    if (strncmp(text, "rank ", 5) != 0) {
        const char *wrong = derive(text, length, key->secret);
        return wrong ? rg_fail_at(e, file, 0, "%s", wrong) : 0;
    }
    if (sscanf(text, "rank %d of %d%n", &key->rank, &key->ranks, &used) < 2 ||
        line_length(text) != (size_t)used || key->ranks < 1 || key->ranks > MOST_RANKS ||
        key->rank < 0 || key->rank >= key->ranks)
        return rg_fail_at(e, file, 1, "\"rank R of N\" is wanted, R from 0 to N - 1, N up to %d",
                          MOST_RANKS);
    return derive_pairs(file, text, key, e);
}

static ssize_t read_all(int fd, char *text, size_t room)
{
    size_t have = 0;
    while (have < room) {
        ssize_t n = read(fd, text + have, room - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

int rg_key_load(const char *file, struct rg_key *key, struct rg_error *e)
{
    struct stat facts;
    char *text = calloc(1, FILE_MOST + 1);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int result = text ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    *key = (struct rg_key){.rank = -1};
    if (result) {
        ;
    } else if (fd < 0 || fstat(fd, &facts) != 0) {
        result = rg_fail_at(e, file, 0, "%s", strerror(errno));
    } else if (S_ISDIR(facts.st_mode)) {
        result = rg_fail_at(e, file, 0, "is a folder, a file is wanted");
    } else if (facts.st_mode & (S_IRWXO | S_IWGRP)) {
        result = rg_fail_at(e, file, 0,
                            "others may read or change this key (mode %04o): chmod 600, or 640 for "
                            "a group of readers",
                            (unsigned)(facts.st_mode & 07777));
    } else {
        ssize_t length = read_all(fd, text, FILE_MOST);
        result = length < 0 ? rg_fail_at(e, file, 0, "%s", strerror(errno)) : 0;
        while (length > 0 && isspace((unsigned char)text[length - 1]))
            text[--length] = '\0';
        if (result == 0)
            result = derive_all(file, text, (size_t)length, key, e);
        OPENSSL_cleanse(text, FILE_MOST);
    }
    if (result)
        rg_key_forget(key);
    free(text);
    if (fd >= 0)
        close(fd);
    return result;
}

void rg_key_forget(struct rg_key *key)
{
    if (key->pairs)
        OPENSSL_cleanse(key->pairs, (size_t)key->ranks * sizeof *key->pairs);
    free(key->pairs);
    OPENSSL_cleanse(key, sizeof *key);
    key->rank = -1;
}
