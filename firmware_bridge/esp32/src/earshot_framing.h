/* Frames on a serial line (docs/protocol.md, 2.1), without state: CRC-32, COBS, and where text ends and a frame begins.
 */
#ifndef EARSHOT_FRAMING_H
#define EARSHOT_FRAMING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* zlib's CRC-32 of what `crc` (0 at first) was of, and these bytes. A chip that has it in its ROM: define
 * EARSHOT_CRC32(crc, bytes, size). */
uint32_t earshot_crc32(uint32_t crc, const uint8_t *bytes, size_t size);

/* The most bytes that `size` bytes become, the delimiter included. */
#define EARSHOT_STUFFED(size) ((size) + (size) / 254u + 2u)

/* Header and payload as they go over the line: with CRC, stuffed, the delimiter at the end. `out` has room for
 * EARSHOT_STUFFED(size + 4) bytes and does not overlap. Returns how many it became. */
size_t earshot_stuff(uint8_t *out, const uint8_t *frame, size_t size);

/* The next group of earshot_stuff, for who has no room for a whole frame: of `frame` and its `crc`, from `*at` (0 at
 * first) on, into `group` (257 bytes). Returns its size; the last one ends with the delimiter, and *at is size + 5
 * then. */
size_t earshot_stuff_group(uint8_t *group, const uint8_t *frame, size_t size, uint32_t crc, uint16_t *at);

/* What stood between two delimiters becomes header and payload in its own place: `*frame` points to it, and its size is
 * returned; 0: it is no frame. Lines of text in front of it are skipped. Overwrites `block`. */
size_t earshot_unstuff(uint8_t *block, size_t size, const uint8_t **frame);

#ifdef __cplusplus
}
#endif

#endif
