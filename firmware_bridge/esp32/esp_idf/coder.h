/* From samples to the payloads of AUDIO frames: PCM16, IMA ADPCM, and Opus where Espressif's library is built in. One
 * task. */
#ifndef EARSHOT_CODER_H
#define EARSHOT_CODER_H

#include "earshot.h"
#include "esp_err.h"

#define EARSHOT_CODED_MOST 1920 /* bytes: 60 ms of PCM16 */

/* Once. What is not built in: ESP_ERR_NOT_SUPPORTED. */
esp_err_t earshot_coder_open(earshot_codec codec);

/* Samples of a whole frame: 20 ms of PCM16, 60 ms of the others. */
size_t earshot_coder_frame(void);

/* Bytes of a frame's payload at most, for earshot_config.frame_size. */
uint16_t earshot_coder_payload(void);

/* A stream begins: nothing is left of the one before. */
void earshot_coder_begin(void);

/* Codes `count` samples: a whole frame, or the last of a stream, which is filled up with silence where the codec wants
 * a whole one. Returns bytes in `out` (EARSHOT_CODED_MOST); 0: it did not work. */
size_t earshot_coder_code(const int16_t *samples, size_t count, uint8_t *out);

#endif
