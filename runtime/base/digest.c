#include "base/digest.h"

#include "base/check.h"
#include "base/error.h"
#include <openssl/evp.h>
#include <stdio.h>

struct rg_digest *rg_digest_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (struct rg_digest *)context;
}

void rg_digest_add(struct rg_digest *digest, const void *data, size_t bytes)
{
    int ok = EVP_DigestUpdate((EVP_MD_CTX *)digest, data, bytes);
    RG_ASSERT(ok == 1);
}

void rg_digest_end(struct rg_digest *digest, char text[RG_DIGEST_TEXT])
{
    unsigned char sum[32];
    unsigned length = 0;
    int ok = EVP_DigestFinal_ex((EVP_MD_CTX *)digest, sum, &length);
    RG_ASSERT(ok == 1 && length == sizeof sum);
    for (unsigned i = 0; i < length; i++)
        snprintf(text + 2 * i, 3, "%02x", sum[i]);
    EVP_MD_CTX_free((EVP_MD_CTX *)digest);
}

int rg_digest_file(const char *path, char text[RG_DIGEST_TEXT])
{
    char block[4096];
    FILE *stream = fopen(path, "rb");
    struct rg_digest *digest = stream ? rg_digest_new() : NULL;
    int err = digest ? 0 : RG_ERR_IO;
    for (size_t got; err == 0 && (got = fread(block, 1, sizeof block, stream)) > 0;)
        rg_digest_add(digest, block, got);
    if (err == 0 && ferror(stream))
        err = RG_ERR_IO;
    if (digest)
        rg_digest_end(digest, text);
    if (stream)
        fclose(stream);
    return err;
}
