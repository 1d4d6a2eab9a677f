#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earshot_settings.h"
#include "esp_check.h"
#include "esp_mac.h"
#include "nvs.h"
#include "nvs_flash.h"
#include "sdkconfig.h"

static const char *const TAG = "earshot";

#if CONFIG_EARSHOT_CARRIER_MQTT
#define CARRIER "mqtt"
#elif CONFIG_EARSHOT_CARRIER_WEBSOCKET
#define CARRIER "websocket"
#else
#define CARRIER "serial"
#endif

#if CONFIG_EARSHOT_MQTT
#define MQTT_URL CONFIG_EARSHOT_MQTT_URL
#else
#define MQTT_URL ""
#endif
#if CONFIG_EARSHOT_WEBSOCKET
#define WEBSOCKET_URL CONFIG_EARSHOT_WEBSOCKET_URL
#else
#define WEBSOCKET_URL ""
#endif

/* What is absent or too long stays as it is. */
static void text(nvs_handle_t nvs, const char *key, char *out, size_t room)
{
    size_t size = room;
    if (nvs_get_str(nvs, key, out, &size) == ESP_ERR_NVS_INVALID_LENGTH) {
        ESP_LOGW(TAG, "NVS: %s is longer than %u bytes", key, (unsigned)room - 1);
    }
}

static esp_err_t own_id(char *id, size_t room)
{
    uint8_t mac[6];
    ESP_RETURN_ON_ERROR(esp_efuse_mac_get_default(mac), TAG, "no MAC address");
    snprintf(id, room, "esp32-%02x%02x%02x", mac[3], mac[4], mac[5]);
    return ESP_OK;
}

/* -1: no hex digit. */
static int digit(char letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    letter = (char)(letter | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool key_of(const char *digits, uint8_t *key)
{
    for (size_t i = 0; i < 32; i++) {
        int high = digit(digits[2 * i]);
        int low = high < 0 ? -1 : digit(digits[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        key[i] = (uint8_t)(high * 16 + low);
    }
    return digits[64] == 0;
}

static void read_key(nvs_handle_t nvs, earshot_settings *settings)
{
    char digits[EARSHOT_NVS_KEY_MOST + 1] = "";
    text(nvs, EARSHOT_NVS_KEY, digits, sizeof digits);
    settings->has_key = key_of(digits, settings->key);
}

static const char *read_certificate(nvs_handle_t nvs)
{
    size_t size = 0;
    if (nvs_get_str(nvs, EARSHOT_NVS_CA_PEM, NULL, &size) != ESP_OK) {
        return NULL;
    }
    char *pem = malloc(size);
    if (pem && nvs_get_str(nvs, EARSHOT_NVS_CA_PEM, pem, &size) != ESP_OK) {
        free(pem);
        pem = NULL;
    }
    return pem;
}

static void read_all(nvs_handle_t nvs, earshot_settings *settings)
{
    text(nvs, EARSHOT_NVS_ID, settings->id, sizeof settings->id);
    memcpy(settings->mqtt_user, settings->id, sizeof settings->mqtt_user);
    text(nvs, EARSHOT_NVS_ROOM, settings->room, sizeof settings->room);
    text(nvs, EARSHOT_NVS_USER, settings->user, sizeof settings->user);
    text(nvs, EARSHOT_NVS_CARRIER, settings->carrier, sizeof settings->carrier);
    text(nvs, EARSHOT_NVS_WIFI_SSID, settings->wifi_ssid, sizeof settings->wifi_ssid);
    text(nvs, EARSHOT_NVS_WIFI_PASS, settings->wifi_pass, sizeof settings->wifi_pass);
    text(nvs, EARSHOT_NVS_MQTT_URL, settings->mqtt_url, sizeof settings->mqtt_url);
    text(nvs, EARSHOT_NVS_MQTT_USER, settings->mqtt_user, sizeof settings->mqtt_user);
    text(nvs, EARSHOT_NVS_MQTT_PASS, settings->mqtt_pass, sizeof settings->mqtt_pass);
    text(nvs, EARSHOT_NVS_MQTT_PREFIX, settings->mqtt_prefix, sizeof settings->mqtt_prefix);
    text(nvs, EARSHOT_NVS_WS_URL, settings->ws_url, sizeof settings->ws_url);
    text(nvs, EARSHOT_NVS_WS_TOKEN, settings->ws_token, sizeof settings->ws_token);
    nvs_get_u32(nvs, EARSHOT_NVS_BAUD, &settings->baud);
    settings->ca_pem = read_certificate(nvs);
    read_key(nvs, settings);
    size_t size = sizeof settings->image_key;
    settings->has_image_key = nvs_get_blob(nvs, EARSHOT_NVS_IMAGE_KEY, settings->image_key, &size) == ESP_OK &&
                              size == sizeof settings->image_key;
}

static esp_err_t open_flash(void)
{
    esp_err_t opened = nvs_flash_init();
    if (opened == ESP_ERR_NVS_NO_FREE_PAGES || opened == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_RETURN_ON_ERROR(nvs_flash_erase(), TAG, "NVS cannot be erased");
        opened = nvs_flash_init();
    }
    return opened;
}

static esp_err_t as_nobody_said(earshot_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    ESP_RETURN_ON_ERROR(own_id(settings->id, sizeof settings->id), TAG, "id");
    memcpy(settings->mqtt_user, settings->id, sizeof settings->mqtt_user);
    snprintf(settings->carrier, sizeof settings->carrier, "%s", CARRIER);
    snprintf(settings->mqtt_prefix, sizeof settings->mqtt_prefix, "earshot/v1");
    snprintf(settings->mqtt_url, sizeof settings->mqtt_url, "%s", MQTT_URL);
    snprintf(settings->ws_url, sizeof settings->ws_url, "%s", WEBSOCKET_URL);
    settings->baud = CONFIG_EARSHOT_UART_BAUD;
    return ESP_OK;
}

esp_err_t earshot_settings_read(earshot_settings *settings)
{
    nvs_handle_t nvs;
    ESP_RETURN_ON_ERROR(as_nobody_said(settings), TAG, "settings");
    ESP_RETURN_ON_ERROR(open_flash(), TAG, "NVS");
    esp_err_t opened = nvs_open(EARSHOT_NVS_NAMESPACE, NVS_READONLY, &nvs);
    if (opened == ESP_ERR_NVS_NOT_FOUND) {
        return ESP_OK; /* a board that nobody has told anything */
    }
    ESP_RETURN_ON_ERROR(opened, TAG, "NVS: " EARSHOT_NVS_NAMESPACE);
    read_all(nvs, settings);
    nvs_close(nvs);
    return ESP_OK;
}

typedef struct {
    const char *key, *text;
} entry;

static esp_err_t keep(const entry *entries, size_t count)
{
    nvs_handle_t nvs;
    esp_err_t kept = nvs_open(EARSHOT_NVS_NAMESPACE, NVS_READWRITE, &nvs);
    if (kept != ESP_OK) {
        return kept;
    }
    for (size_t i = 0; i < count && kept == ESP_OK; i++) {
        kept = nvs_set_str(nvs, entries[i].key, entries[i].text);
    }
    if (kept == ESP_OK) {
        kept = nvs_commit(nvs);
    }
    nvs_close(nvs);
    return kept;
}

esp_err_t earshot_settings_keep_wifi(earshot_settings *settings, const char *ssid, const char *password)
{
    const entry entries[] = {{EARSHOT_NVS_WIFI_SSID, ssid}, {EARSHOT_NVS_WIFI_PASS, password}};
    snprintf(settings->wifi_ssid, sizeof settings->wifi_ssid, "%s", ssid);
    snprintf(settings->wifi_pass, sizeof settings->wifi_pass, "%s", password);
    return keep(entries, 2);
}

esp_err_t earshot_settings_keep_gateway(const char *url)
{
    bool mqtt = !strncmp(url, "mqtt://", 7) || !strncmp(url, "mqtts://", 8);
    bool websocket = !strncmp(url, "ws://", 5) || !strncmp(url, "wss://", 6);
    const entry entries[] = {
        {EARSHOT_NVS_MQTT_PASS, ""},
        {EARSHOT_NVS_WS_TOKEN, ""}, /* first: no other gateway is told the secrets of the one before */
        {mqtt ? EARSHOT_NVS_MQTT_URL : EARSHOT_NVS_WS_URL, url},
        {EARSHOT_NVS_CARRIER, mqtt ? "mqtt" : "websocket"}};
    return mqtt || websocket ? keep(entries, sizeof entries / sizeof *entries) : ESP_ERR_INVALID_ARG;
}
