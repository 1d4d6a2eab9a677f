/* Espressif's Opus coder (esp_audio_codec, closed): 16 kHz mono, 60 ms, 24 kbit/s. One task, with 40 KB of stack. */
#ifndef EARSHOT_OPUS_CODER_H
#define EARSHOT_OPUS_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#define EARSHOT_OPUS_MOST 512 /* bytes of a packet */

esp_err_t earshot_opus_open(void);
size_t earshot_opus_code(const int16_t *samples, size_t count, uint8_t *out);

#endif
