/* Whether a firmware image's signature is good (docs/protocol.md, 3.5): ECDSA on P-256 with SHA-256, for boards without
 * mbedTLS or hardware for it. It handles nothing secret, so it takes as long as it takes. Allocates nothing; some 1.2
 * KB of stack; some 20 million cycles on a 32-bit chip. */
#ifndef EARSHOT_P256_H
#define EARSHOT_P256_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `key`: the public key, x and y; `digest`: 32 bytes; `signature`: r and s. All big-endian, 32 bytes each. False also
 * for a key that is no point of the curve. */
bool earshot_p256_verify(const uint8_t *key, const uint8_t *digest, const uint8_t *signature);

/* The same over the SHA-256 of a message: what earshot_update_port.verify is to say. */
bool earshot_p256_signed(const uint8_t *key, const uint8_t *message, size_t size, const uint8_t *signature);

#ifdef __cplusplus
}
#endif

#endif
