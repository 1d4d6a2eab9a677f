#include "light.h"

#include <stdatomic.h>

#include "driver/gpio.h"
#include "driver/rmt_tx.h"
#include "esp_check.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#define TICKS_PER_US 10 /* of the RMT channel */
#define STEP_MS 40
#define BRIGHTNESS 48 /* of 255: it stands in a bedroom, too */

static const char *const TAG = "earshot";
static atomic_int shown = EARSHOT_LIGHT_OFF;
static const earshot_board *board;
static rmt_channel_handle_t channel;
static rmt_encoder_handle_t encoder;

void earshot_light_show(earshot_light light)
{
    atomic_store(&shown, (int)light);
}

/* A WS2812 takes a long and a short level for each bit: 0.3 and 0.9 us, green first. */
static esp_err_t open_rgb(void)
{
    rmt_tx_channel_config_t config = {
        .gpio_num = board->led_pin,
        .clk_src = RMT_CLK_SRC_DEFAULT,
        .resolution_hz = TICKS_PER_US * 1000000,
        .mem_block_symbols = 64,
        .trans_queue_depth = 2,
    };
    rmt_bytes_encoder_config_t bits = {
        .bit0 = {.level0 = 1, .duration0 = 3, .level1 = 0, .duration1 = 9},
        .bit1 = {.level0 = 1, .duration0 = 9, .level1 = 0, .duration1 = 3},
        .flags.msb_first = 1,
    };
    ESP_RETURN_ON_ERROR(rmt_new_tx_channel(&config, &channel), TAG, "light at %d", board->led_pin);
    ESP_RETURN_ON_ERROR(rmt_new_bytes_encoder(&bits, &encoder), TAG, "light");
    return rmt_enable(channel);
}

static void show_rgb(uint32_t colour)
{
    static uint8_t bytes[3];
    const rmt_transmit_config_t once = {.loop_count = 0};
    if (rmt_tx_wait_all_done(channel, STEP_MS) != ESP_OK) {
        return;
    }
    bytes[0] = (uint8_t)((colour >> 8 & 0xff) * BRIGHTNESS / 255);
    bytes[1] = (uint8_t)((colour >> 16 & 0xff) * BRIGHTNESS / 255);
    bytes[2] = (uint8_t)((colour & 0xff) * BRIGHTNESS / 255);
    rmt_transmit(channel, encoder, bytes, sizeof bytes, &once);
}

/* A light of one colour is on where one of the three is half on: what only glows is off. */
static void show_plain(uint32_t colour)
{
    uint32_t brightest = colour >> 16 & 0xff;
    brightest = (colour >> 8 & 0xff) > brightest ? colour >> 8 & 0xff : brightest;
    brightest = (colour & 0xff) > brightest ? colour & 0xff : brightest;
    bool on = brightest >= 128;
    gpio_set_level(board->led_pin, on == (board->led == EARSHOT_LED_PLAIN));
}

static void show_for_ever(void *unused)
{
    earshot_light last = EARSHOT_LIGHT_OFF;
    int64_t since = 0;
    uint32_t colour = UINT32_MAX;
    (void)unused;
    for (;;) {
        earshot_light now = (earshot_light)atomic_load(&shown);
        if (now != last) {
            last = now;
            since = esp_timer_get_time();
        }
        uint32_t next = earshot_light_at(now, (uint32_t)((esp_timer_get_time() - since) / 1000));
        if (next != colour) {
            colour = next;
            board->led == EARSHOT_LED_RGB ? show_rgb(colour) : show_plain(colour);
        }
        vTaskDelay(pdMS_TO_TICKS(STEP_MS));
    }
}

esp_err_t earshot_light_open(const earshot_board *of)
{
    board = of;
    if (board->led == EARSHOT_LED_NONE) {
        return ESP_OK;
    }
    if (board->led == EARSHOT_LED_RGB) {
        ESP_RETURN_ON_ERROR(open_rgb(), TAG, "light");
    } else {
        ESP_RETURN_ON_ERROR(gpio_reset_pin(board->led_pin), TAG, "light");
        ESP_RETURN_ON_ERROR(gpio_set_direction(board->led_pin, GPIO_MODE_OUTPUT), TAG, "light");
    }
    return xTaskCreate(show_for_ever, "earshot light", 3072, NULL, tskIDLE_PRIORITY + 1, NULL) == pdPASS
               ? ESP_OK
               : ESP_ERR_NO_MEM;
}
