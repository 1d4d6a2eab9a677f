#include "opus.h"

#include "sdkconfig.h"

#if CONFIG_EARSHOT_OPUS

#include "esp_check.h"
#include "esp_opus_enc.h"

static const char *const TAG = "earshot";
static void *encoder;

esp_err_t earshot_opus_open(void)
{
    esp_opus_enc_config_t config = ESP_OPUS_ENC_CONFIG_DEFAULT();
    config.sample_rate = ESP_AUDIO_SAMPLE_RATE_16K;
    config.channel = ESP_AUDIO_MONO;
    config.bitrate = 24000;
    config.frame_duration = ESP_OPUS_ENC_FRAME_DURATION_60_MS;
    config.enable_vbr = true;
    ESP_RETURN_ON_FALSE(esp_opus_enc_open(&config, sizeof config, &encoder) == ESP_AUDIO_ERR_OK, ESP_FAIL, TAG, "Opus");
    return ESP_OK;
}

size_t earshot_opus_code(const int16_t *samples, size_t count, uint8_t *out)
{
    esp_audio_enc_in_frame_t in = {.buffer = (uint8_t *)(uintptr_t)samples, .len = (uint32_t)(count * sizeof *samples)};
    esp_audio_enc_out_frame_t packet = {.buffer = out, .len = EARSHOT_OPUS_MOST};
    return esp_opus_enc_process(encoder, &in, &packet) == ESP_AUDIO_ERR_OK ? packet.encoded_bytes : 0;
}

#else

esp_err_t earshot_opus_open(void)
{
    return ESP_ERR_NOT_SUPPORTED;
}

size_t earshot_opus_code(const int16_t *samples, size_t count, uint8_t *out)
{
    (void)samples;
    (void)count;
    (void)out;
    return 0;
}

#endif
