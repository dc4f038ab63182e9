/* SHA-256 through OpenSSL's libcrypto. */
#ifndef RG_BASE_DIGEST_H
#define RG_BASE_DIGEST_H

#include <stddef.h>

#define RG_DIGEST_TEXT 65 /* 64 hexadecimal digits and the terminator */

struct rg_digest; /* streaming state */

struct rg_digest *rg_digest_new(void); /* NULL when memory is out */
void rg_digest_add(struct rg_digest *digest, const void *data, size_t bytes);
/* Writes the text and frees the state. */
void rg_digest_end(struct rg_digest *digest, char text[RG_DIGEST_TEXT]);
/* Of a file's bytes. RG_ERR_IO: it cannot be read. */
int rg_digest_file(const char *path, char text[RG_DIGEST_TEXT]);

#endif
