/* IMA ADPCM as docs/protocol.md, 3.3 has it: a quarter of the bytes of PCM16, for 115200 baud and for chips too small
 * for Opus. */
#ifndef EARSHOT_ADPCM_H
#define EARSHOT_ADPCM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that an even number of samples become. */
#define EARSHOT_ADPCM_SIZE(samples) (4u + (samples) / 2u)

/* Where an encoder stands; all zero at the beginning of a stream. */
typedef struct {
    int16_t predictor;
    uint8_t index;
} earshot_adpcm;

/* One payload from an even number of samples; `out` has room for EARSHOT_ADPCM_SIZE(samples) bytes, which is returned.
 */
size_t earshot_adpcm_encode(earshot_adpcm *state, const int16_t *samples, size_t count, uint8_t *out);

/* The samples of one payload, two for each byte after the first four; `out` has room for them. Returns how many; 0: no
 * payload of this codec, or one without samples. */
size_t earshot_adpcm_decode(const uint8_t *payload, size_t size, int16_t *out);

#ifdef __cplusplus
}
#endif

#endif
