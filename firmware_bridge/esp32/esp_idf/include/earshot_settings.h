/* What `earshot flash` and the Wi-Fi set-up wrote into NVS: docs/flashing.md, earshot_nvs_keys.h. */
#ifndef EARSHOT_SETTINGS_H
#define EARSHOT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "earshot_nvs_keys.h"
#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char id[EARSHOT_NVS_ID_MOST + 1]; /* never empty: made of the MAC address where nobody said */
    char room[EARSHOT_NVS_ROOM_MOST + 1];
    char user[EARSHOT_NVS_USER_MOST + 1];
    char carrier[EARSHOT_NVS_CARRIER_MOST + 1]; /* serial, mqtt or websocket */
    uint32_t baud;
    char wifi_ssid[EARSHOT_NVS_WIFI_SSID_MOST + 1]; /* empty: no Wi-Fi */
    char wifi_pass[EARSHOT_NVS_WIFI_PASS_MOST + 1];
    char mqtt_url[EARSHOT_NVS_MQTT_URL_MOST + 1];
    char mqtt_user[EARSHOT_NVS_MQTT_USER_MOST + 1]; /* the id where nobody said */
    char mqtt_pass[EARSHOT_NVS_MQTT_PASS_MOST + 1];
    char mqtt_prefix[EARSHOT_NVS_MQTT_PREFIX_MOST + 1];
    char ws_url[EARSHOT_NVS_WS_URL_MOST + 1];
    char ws_token[EARSHOT_NVS_WS_TOKEN_MOST + 1];
    const char *ca_pem; /* NULL: the firmware's own bundle */
    uint8_t key[32];
    bool has_key;
    uint8_t image_key[EARSHOT_NVS_IMAGE_KEY_MOST]; /* whose signed images it takes */
    bool has_image_key;
} earshot_settings;

/* Opens NVS and reads. What is absent, or longer than it may be, is as earshot_nvs_keys.h says of what is absent.
 * ESP_ERR_NO_MEM; what nvs_flash_init says. */
esp_err_t earshot_settings_read(earshot_settings *settings);

/* Keeps a Wi-Fi that was joined, here and in NVS. */
esp_err_t earshot_settings_keep_wifi(earshot_settings *settings, const char *ssid, const char *password);

/* Keeps where the gateway is, in NVS, for the next start: mqtt://, mqtts://, ws:// or wss://, which names the carrier,
 * too. The password and the token of the one before are gone. ESP_ERR_INVALID_ARG: something else. */
esp_err_t earshot_settings_keep_gateway(const char *url);

#ifdef __cplusplus
}
#endif

#endif
