#include "board_esp32.h"

#include <stdatomic.h>
#include <stdio.h>

#include "board.h"
#include "earshot_button.h"
#include "earshot_line.h"
#include "earshot_microphone.h"
#include "earshot_settings.h"
#include "esp_check.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/stream_buffer.h"
#include "freertos/task.h"

#define HELD_SAMPLES 8000 /* half a second, for when the application is busy with the line */

static const char *const TAG = "board";
static earshot_settings settings;
static StreamBufferHandle_t samples_heard;
static atomic_bool listening;
static atomic_uint lost;

/* In the microphone's task. */
static void heard(void *unused, const int16_t *samples, size_t count)
{
    (void)unused;
    if (!atomic_load(&listening)) {
        return;
    }
    size_t size = count * sizeof *samples;
    if (xStreamBufferSpacesAvailable(samples_heard) < size) {
        atomic_fetch_add(&lost, count);
        return;
    }
    xStreamBufferSend(samples_heard, samples, size, 0);
}

esp_err_t board_open(void)
{
    const earshot_microphone_config microphone = {.heard = heard};
    ESP_RETURN_ON_ERROR(earshot_settings_read(&settings), TAG, "settings");
    ESP_RETURN_ON_ERROR(earshot_this_line()->open(settings.baud), TAG, "%s", earshot_this_line()->name);
    ESP_RETURN_ON_ERROR(earshot_button_open(earshot_this_board()->button, NULL), TAG, "button");
    samples_heard = xStreamBufferCreate(HELD_SAMPLES * sizeof(int16_t), 1);
    ESP_RETURN_ON_FALSE(samples_heard, ESP_ERR_NO_MEM, TAG, "no memory");
    return earshot_microphone_start(&microphone);
}

uint32_t board_milliseconds(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

uint32_t board_random(void)
{
    return esp_random();
}

const char *board_device_id(void)
{
    return settings.id;
}

size_t board_write(const uint8_t *bytes, size_t count)
{
    return earshot_this_line()->write(bytes, count);
}

size_t board_read(uint8_t *bytes, size_t room)
{
    return earshot_this_line()->read(bytes, room);
}

bool board_button(void)
{
    return earshot_button_held(board_milliseconds());
}

void board_listen(bool listen)
{
    if (listen) {
        xStreamBufferReset(samples_heard);
    }
    atomic_store(&listening, listen);
}

size_t board_hear(int16_t *samples, size_t count)
{
    size_t wanted = count * sizeof *samples;
    if (atomic_load(&listening) && xStreamBufferBytesAvailable(samples_heard) < wanted) {
        return 0;
    }
    return xStreamBufferReceive(samples_heard, samples, wanted, 0) / sizeof *samples;
}

/* On the console, which sdkconfig.defaults keeps off the line that carries the frames. */
void board_print(const char *what, const char *text, size_t size)
{
    printf("%s: %.*s\n", what, (int)size, text);
}

void board_wait(uint32_t milliseconds)
{
    TickType_t ticks = pdMS_TO_TICKS(milliseconds);
    vTaskDelay(ticks ? ticks : 1);
}
