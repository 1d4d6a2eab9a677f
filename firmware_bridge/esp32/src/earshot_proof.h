/* How a device proves who it is (docs/protocol.md, CHALLENGE): HMAC-SHA256, for earshot_config.prove. A chip that has
 * it in hardware may bring its own. */
#ifndef EARSHOT_PROOF_H
#define EARSHOT_PROOF_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* SHA-256 (FIPS 180-4) of bytes that come in pieces. */
typedef struct {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
} earshot_sha256;

void earshot_sha256_begin(earshot_sha256 *hash);
void earshot_sha256_add(earshot_sha256 *hash, const void *bytes, size_t size);
void earshot_sha256_end(earshot_sha256 *hash, uint8_t *digest); /* 32 bytes */

/* HMAC-SHA256 (RFC 2104) with a key of 32 bytes; `proof` is 32 bytes. */
void earshot_prove(const uint8_t *key, const uint8_t *message, size_t size, uint8_t *proof);

#ifdef __cplusplus
}
#endif

#endif
