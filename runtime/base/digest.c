#include "base/digest.h"

#include "base/check.h"
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
