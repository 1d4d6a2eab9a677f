/* A board whose drivers are a PC's: its line is a terminal, its microphone a file of samples that is heard four times
 * as fast as it was spoken, its button a line on stdin ("press": it is held as long as the recording lasts; "hold" and
 * "release"). What the component tells its owner is printed.
 *
 * board DESCRIPTOR_OF_A_TERMINAL SAMPLES
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "earshot_button.h"
#include "earshot_esp.h"
#include "earshot_line.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "image.h"
#include "light.h"

_Thread_local TaskHandle_t this_task;
static const char *terminal;
static int line = -1;

/* -- Drivers. */

static esp_err_t open_terminal(uint32_t baud)
{
    (void)baud;
    line = atoi(terminal);
    return fcntl(line, F_SETFL, O_NONBLOCK) == 0 ? ESP_OK : ESP_FAIL;
}

static size_t write_terminal(const uint8_t *bytes, size_t size)
{
    ssize_t count = write(line, bytes, size);
    return count > 0 ? (size_t)count : 0;
}

static size_t read_terminal(uint8_t *bytes, size_t room)
{
    ssize_t count = read(line, bytes, room);
    return count > 0 ? (size_t)count : 0;
}

static bool always(void)
{
    return true;
}

const earshot_line earshot_line_uart = {"a terminal", open_terminal, write_terminal, read_terminal, always};
const earshot_line *earshot_this_line(void)
{
    return &earshot_line_uart;
}

esp_err_t earshot_button_open(int pin, void (*woken)(void))
{
    (void)pin;
    (void)woken;
    return ESP_OK;
}
bool earshot_button_held(uint32_t now_ms)
{
    (void)now_ms;
    return false;
}
esp_err_t earshot_light_open(const earshot_board *board)
{
    (void)board;
    return ESP_OK;
}
void earshot_light_show(earshot_light light)
{
    (void)light;
}
esp_err_t earshot_microphone_start(const earshot_microphone_config *config)
{
    (void)config;
    return ESP_OK;
}
void earshot_microphone_counted(earshot_microphone_counts *counts)
{
    memset(counts, 0, sizeof *counts);
}
bool earshot_image_can(const earshot_esp_config *config, const earshot_settings *settings)
{
    (void)config;
    (void)settings;
    return false;
}
earshot_update_port earshot_image_port(const uint8_t *key)
{
    (void)key;
    return (earshot_update_port){.context = NULL};
}

/* -- The owner. */

static void heard(void *context, const char *id, const char *text)
{
    (void)context;
    printf("heard: %s: %s\n", id, text);
}

static void answered(void *context, const char *id, const char *text, bool final, bool failed)
{
    (void)context;
    (void)id;
    printf("%s: %s\n", failed ? "failed" : final ? "reply" : "so far", text);
}

static void shown(void *context, earshot_light light)
{
    (void)context;
    printf("light: %d\n", (int)light);
}

static void hear(const int16_t *samples, size_t count)
{
    for (size_t at = 0; at < count; at += EARSHOT_BLOCK) {
        earshot_esp_hear(samples + at, count - at < EARSHOT_BLOCK ? count - at : EARSHOT_BLOCK);
        usleep(5000);
    }
}

int main(int count, char **arguments)
{
    static int16_t samples[60 * EARSHOT_RATE], hush[EARSHOT_BLOCK];
    char order[16];
    FILE *recording = fopen(arguments[count - 1], "rb");
    size_t length = recording ? fread(samples, sizeof *samples, sizeof samples / sizeof *samples, recording) : 0;
    const earshot_esp_config config = {.transcript = heard, .reply = answered, .state = shown, .own_microphone = true};
    setvbuf(stdout, NULL, _IOLBF, 0);
    terminal = arguments[1];
    if (!length || earshot_esp_start(&config) != ESP_OK) {
        return 1;
    }
    printf("device: %s\n", earshot_esp_settings()->id);
    while (fgets(order, sizeof order, stdin)) {
        if (order[0] == 'p') {
            earshot_esp_talk(true);
            hear(samples, length);
            earshot_esp_talk(false);
            hear(hush, EARSHOT_BLOCK);
        } else if (order[0] == 'l') {
            earshot_esp_log(4, "something to say");
        }
    }
    return 0;
}
