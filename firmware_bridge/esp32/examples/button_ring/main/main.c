/* The smallest: a C3 with a button and a microphone, IMA ADPCM, 2 s of ring in 17 KB, and a light that says what is
 * going on. What it misses while the cable is out longer than 2 s is a gap that the transcript reports. */
#include "earshot_esp.h"
#include "esp_err.h"

void app_main(void)
{
    const earshot_esp_config config = {.firmware = "button_ring " EARSHOT_VERSION, .kind = "button_ring"};
    ESP_ERROR_CHECK(earshot_esp_start(&config));
}
