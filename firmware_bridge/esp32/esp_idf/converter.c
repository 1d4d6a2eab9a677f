#include "converter.h"

#include "esp_idf_version.h"
#include "sdkconfig.h"

#if CONFIG_IDF_TARGET_ESP32S3 && ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 3, 0)

#include "driver/i2c_master.h"
#include "es7210_adc.h"
#include "es8311_codec.h"
#include "esp_check.h"
#include "esp_codec_dev.h"
#include "esp_codec_dev_defaults.h"

static const char *const TAG = "earshot";

static const audio_codec_if_t *codec_of(const earshot_board *board, i2c_master_bus_handle_t bus)
{
    bool four = board->mic == EARSHOT_MIC_ES7210;
    audio_codec_i2c_cfg_t wire = {
        .port = 0, .addr = four ? ES7210_CODEC_DEFAULT_ADDR : ES8311_CODEC_DEFAULT_ADDR, .bus_handle = bus};
    const audio_codec_ctrl_if_t *control = audio_codec_new_i2c_ctrl(&wire);
    if (!control) {
        return NULL;
    }
    if (four) {
        es7210_codec_cfg_t config = {.ctrl_if = control, .mic_selected = ES7210_SEL_MIC1 | ES7210_SEL_MIC2};
        return es7210_codec_new(&config);
    }
    es8311_codec_cfg_t config = {
        .ctrl_if = control,
        .gpio_if = audio_codec_new_gpio(),
        .codec_mode = ESP_CODEC_DEV_WORK_MODE_ADC,
        .pa_pin = -1,
        .use_mclk = board->in.mclk != EARSHOT_NO_PIN,
    };
    return es8311_codec_new(&config);
}

esp_err_t earshot_converter_open(const earshot_board *board, void *receiver)
{
    if (board->mic != EARSHOT_MIC_ES7210 && board->mic != EARSHOT_MIC_ES8311) {
        return ESP_OK;
    }
    i2c_master_bus_config_t lines = {
        .i2c_port = 0,
        .sda_io_num = board->codec.sda,
        .scl_io_num = board->codec.scl,
        .clk_source = I2C_CLK_SRC_DEFAULT,
        .glitch_ignore_cnt = 7,
        .flags.enable_internal_pullup = true,
    };
    i2c_master_bus_handle_t bus;
    ESP_RETURN_ON_ERROR(i2c_new_master_bus(&lines, &bus), TAG, "I2C at %d and %d", board->codec.sda, board->codec.scl);
    audio_codec_i2s_cfg_t samples = {.port = 0, .rx_handle = receiver};
    esp_codec_dev_cfg_t config = {
        .dev_type = ESP_CODEC_DEV_TYPE_IN,
        .codec_if = codec_of(board, bus),
        .data_if = audio_codec_new_i2s_data(&samples),
    };
    ESP_RETURN_ON_FALSE(config.codec_if && config.data_if, ESP_ERR_NOT_FOUND, TAG, "%s: its converter does not answer",
                        board->name);
    esp_codec_dev_handle_t device = esp_codec_dev_new(&config);
    ESP_RETURN_ON_FALSE(device, ESP_ERR_NO_MEM, TAG, "no memory for the converter");
    esp_codec_dev_sample_info_t shape = {.bits_per_sample = 16, .channel = 2, .sample_rate = EARSHOT_RATE};
    ESP_RETURN_ON_FALSE(esp_codec_dev_open(device, &shape) == ESP_CODEC_DEV_OK, ESP_FAIL, TAG,
                        "the converter refuses 16 kHz");
    esp_codec_dev_set_in_gain(device, 30.0f);
    return ESP_OK;
}

#else

esp_err_t earshot_converter_open(const earshot_board *board, void *receiver)
{
    (void)receiver;
    return board->mic == EARSHOT_MIC_ES7210 || board->mic == EARSHOT_MIC_ES8311 ? ESP_ERR_NOT_SUPPORTED : ESP_OK;
}

#endif
