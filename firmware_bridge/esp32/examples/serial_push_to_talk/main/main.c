/* Push-to-talk over a serial line, on any ESP32: push_to_talk.c is all of it, and the same file that an emulator runs
 * in Earshot's own tests. */
#include "board_esp32.h"
#include "esp_err.h"
#include "push_to_talk.h"

void app_main(void)
{
    ESP_ERROR_CHECK(board_open());
    push_to_talk();
}
