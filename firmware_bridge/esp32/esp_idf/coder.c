#include "coder.h"

#include "earshot_adpcm.h"
#include "esp_check.h"
#include "opus.h"
#include "sdkconfig.h"

static earshot_codec coder;
static earshot_adpcm adpcm;

esp_err_t earshot_coder_open(earshot_codec codec)
{
    coder = codec;
    return codec == EARSHOT_OPUS ? earshot_opus_open() : ESP_OK;
}

size_t earshot_coder_frame(void)
{
    return coder == EARSHOT_PCM16 ? 320 : 960;
}

uint16_t earshot_coder_payload(void)
{
    return coder == EARSHOT_PCM16 ? 640 : coder == EARSHOT_IMA_ADPCM ? EARSHOT_ADPCM_SIZE(960) : EARSHOT_OPUS_MOST;
}

void earshot_coder_begin(void)
{
    memset(&adpcm, 0, sizeof adpcm);
}

static size_t code_opus(const int16_t *samples, size_t count, uint8_t *out)
{
    static int16_t frame[960];
    memset(frame, 0, sizeof frame);
    memcpy(frame, samples, count * sizeof *samples);
    return earshot_opus_code(frame, 960, out);
}

size_t earshot_coder_code(const int16_t *samples, size_t count, uint8_t *out)
{
    switch (coder) {
    case EARSHOT_PCM16: memcpy(out, samples, count * sizeof *samples); return count * sizeof *samples;
    case EARSHOT_IMA_ADPCM: return earshot_adpcm_encode(&adpcm, samples, count & ~(size_t)1, out);
    default: return code_opus(samples, count, out);
    }
}
