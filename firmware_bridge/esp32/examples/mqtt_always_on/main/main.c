/* A microphone that is always on, over Wi-Fi and MQTT: an ESP32-S3 with PSRAM, which keeps half a minute while the
 * broker, the gateway or the Wi-Fi is away. With "after a wake word" in menuconfig, esp-sr's WakeNet opens the ear
 * (wake_net.c). */
#include <stdio.h>

#include "earshot_esp.h"
#include "esp_err.h"
#include "sdkconfig.h"
#include "wake_net.h"

static void heard(void *context, const char *id, const char *text)
{
    (void)context;
    (void)id;
    printf("you said: %s\n", text);
}

static void answered(void *context, const char *id, const char *text, bool final, bool failed)
{
    (void)context;
    (void)id;
    printf("%s%s%s\n", failed ? "it did not work: " : "", text, final ? "" : " ...");
}

void app_main(void)
{
    earshot_esp_config config = {.transcript = heard,
                                 .reply = answered,
                                 .firmware = "mqtt_always_on " EARSHOT_VERSION,
                                 .kind = "mqtt_always_on"};
#if CONFIG_EARSHOT_WAKE_WORD
    ESP_ERROR_CHECK(wake_net_open());
    config.wake = wake_net_hear;
#endif
    ESP_ERROR_CHECK(earshot_esp_start(&config));
}
