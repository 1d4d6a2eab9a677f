#include <stdatomic.h>

#include "converter.h"
#include "driver/i2s_std.h"
#include "earshot_microphone.h"
#include "earshot_slots.h"
#include "esp_check.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"

#if CONFIG_IDF_TARGET_ESP32 || CONFIG_IDF_TARGET_ESP32S3 || CONFIG_IDF_TARGET_ESP32P4
#define HAS_PDM 1
#include "driver/i2s_pdm.h"
#endif

#define BUFFERS 6 /* of DMA, 20 ms each: so long may `heard` take */
#define DRIFT_AFTER_US 10000000

static const char *const TAG = "earshot";

static struct {
    earshot_microphone_config config;
    const earshot_board *board;
    i2s_chan_handle_t receiver;
    earshot_slots slots;
    atomic_uint samples, clipped, overruns, peak;
    atomic_int drift_ppm;
    int64_t began;
    uint64_t counted;
} microphone;

/* From the driver's interrupt: DMA filled a buffer while all of them waited to be read. */
static bool IRAM_ATTR lost_one(i2s_chan_handle_t receiver, i2s_event_data_t *event, void *context)
{
    (void)receiver;
    (void)event;
    (void)context;
    atomic_fetch_add(&microphone.overruns, 1);
    return false;
}

static esp_err_t as_i2s(const earshot_board *board, i2s_data_bit_width_t width)
{
    bool both = board->slots == 2;
    i2s_slot_mode_t mode = both ? I2S_SLOT_MODE_STEREO : I2S_SLOT_MODE_MONO;
    i2s_std_config_t config = {
        .clk_cfg = I2S_STD_CLK_DEFAULT_CONFIG(EARSHOT_RATE),
        .slot_cfg = I2S_STD_PHILIPS_SLOT_DEFAULT_CONFIG(width, mode),
        .gpio_cfg = {.mclk = board->in.mclk,
                     .bclk = board->in.bclk,
                     .ws = board->in.ws,
                     .din = board->in.data,
                     .dout = I2S_GPIO_UNUSED},
    };
    if (!both) {
        config.slot_cfg.slot_mask = board->take ? I2S_STD_SLOT_RIGHT : I2S_STD_SLOT_LEFT;
    }
    return i2s_channel_init_std_mode(microphone.receiver, &config);
}

static esp_err_t as_pdm(const earshot_board *board)
{
#if HAS_PDM
    i2s_pdm_rx_config_t config = {
        .clk_cfg = I2S_PDM_RX_CLK_DEFAULT_CONFIG(EARSHOT_RATE),
        .slot_cfg = I2S_PDM_RX_SLOT_DEFAULT_CONFIG(I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_MONO),
        .gpio_cfg = {.clk = board->in.ws, .din = board->in.data},
    };
    return i2s_channel_init_pdm_rx_mode(microphone.receiver, &config);
#else
    (void)board;
    return ESP_ERR_NOT_SUPPORTED;
#endif
}

static esp_err_t open_channel(const earshot_board *board, i2s_data_bit_width_t width)
{
    /* PDM is the first I2S's; there is no other on small chips. */
    i2s_chan_config_t channel = I2S_CHANNEL_DEFAULT_CONFIG(I2S_NUM_0, I2S_ROLE_MASTER);
    channel.dma_desc_num = BUFFERS;
    channel.dma_frame_num = EARSHOT_BLOCK;
    ESP_RETURN_ON_ERROR(i2s_new_channel(&channel, NULL, &microphone.receiver), TAG, "I2S");
    esp_err_t made = board->mic == EARSHOT_MIC_PDM ? as_pdm(board) : as_i2s(board, width);
    ESP_RETURN_ON_ERROR(made, TAG, "%s: microphone", board->name);
    i2s_event_callbacks_t events = {.on_recv_q_ovf = lost_one};
    ESP_RETURN_ON_ERROR(i2s_channel_register_event_callback(microphone.receiver, &events, NULL), TAG, "I2S events");
    ESP_RETURN_ON_ERROR(earshot_converter_open(board, microphone.receiver), TAG, "%s: converter", board->name);
    esp_err_t enabled = i2s_channel_enable(microphone.receiver);
    return enabled == ESP_ERR_INVALID_STATE ? ESP_OK : enabled; /* the converter's driver has enabled it already */
}

/* How many samples came in the time that passed by the chip's own clock. */
static void count(size_t frames)
{
    int64_t now = esp_timer_get_time();
    microphone.counted += frames;
    if (!microphone.began) {
        microphone.began = now;
        microphone.counted = 0;
    }
    int64_t passed = now - microphone.began;
    if (passed > DRIFT_AFTER_US) {
        int64_t played = (int64_t)(microphone.counted * 1000000u / EARSHOT_RATE);
        atomic_store(&microphone.drift_ppm, (int)((played - passed) * 1000000 / passed));
    }
    atomic_fetch_add(&microphone.samples, frames);
    atomic_store(&microphone.clipped, microphone.slots.clipped);
    if (microphone.slots.peak > atomic_load(&microphone.peak)) {
        atomic_store(&microphone.peak, microphone.slots.peak);
    }
    microphone.slots.peak = 0;
}

static void listen_for_ever(void *unused)
{
    static int32_t raw[2 * EARSHOT_BLOCK];
    static int16_t samples[EARSHOT_BLOCK];
    const earshot_slots_config *shape = &microphone.slots.config;
    size_t frame = (size_t)(shape->slots * shape->width / 8);
    (void)unused;
    for (;;) {
        size_t read = 0;
        if (i2s_channel_read(microphone.receiver, raw, EARSHOT_BLOCK * frame, &read, 1000) != ESP_OK) {
            continue; /* a clock that stands still: the counters say so */
        }
        earshot_slots_convert(&microphone.slots, raw, samples, read / frame);
        count(read / frame);
        microphone.config.heard(microphone.config.context, samples, read / frame);
    }
}

esp_err_t earshot_microphone_start(const earshot_microphone_config *config)
{
    const earshot_board *board = config->board ? config->board : earshot_this_board();
    bool wide = board->mic == EARSHOT_MIC_I2S; /* 24 bits; converters and PDM are asked for 16 */
    earshot_slots_config shape = {
        .width = wide ? 32 : 16, .slots = board->slots, .take = board->take, .gain_bits = board->gain_bits};
    microphone.config = *config;
    microphone.board = board;
    earshot_slots_init(&microphone.slots, &shape);
    ESP_RETURN_ON_ERROR(open_channel(board, wide ? I2S_DATA_BIT_WIDTH_32BIT : I2S_DATA_BIT_WIDTH_16BIT), TAG,
                        "microphone");
    uint32_t stack = config->stack ? config->stack : 4096;
    BaseType_t made = xTaskCreate(listen_for_ever, "earshot mic", stack, NULL, configMAX_PRIORITIES - 4, NULL);
    return made == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
}

void earshot_microphone_counted(earshot_microphone_counts *counts)
{
    counts->samples = atomic_load(&microphone.samples);
    counts->clipped = atomic_load(&microphone.clipped);
    counts->overruns = atomic_load(&microphone.overruns);
    counts->drift_ppm = atomic_load(&microphone.drift_ppm);
    counts->peak = (uint16_t)atomic_exchange(&microphone.peak, 0);
}
