#include "sdkconfig.h"
#include "soc/soc_caps.h"

#if SOC_WIFI_SUPPORTED

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "esp_check.h"
#include "esp_event.h"
#include "esp_netif.h"
#include "esp_timer.h"
#include "esp_wifi.h"
#include "wifi.h"
#include "wire.h"

#define NETWORKS 20
#define JOIN_US 20000000
#define AGAIN_US 2000000

static const char *const TAG = "earshot";

static struct {
    earshot_settings *settings;
    atomic_bool joined;
    bool wanted; /* there is a network to join */
    char ssid[EARSHOT_NVS_WIFI_SSID_MOST + 1], password[EARSHOT_NVS_WIFI_PASS_MOST + 1];
    void (*done)(bool joined);
    earshot_wifi_found *found;
    void (*end)(void);
    esp_timer_handle_t again, too_late;
} wifi;

bool earshot_wifi_is_joined(void)
{
    return atomic_load(&wifi.joined);
}

static void tell(bool joined)
{
    void (*done)(bool) = wifi.done;
    wifi.done = NULL;
    esp_timer_stop(wifi.too_late);
    if (done) {
        done(joined);
    }
}

static void try_again(void *unused)
{
    (void)unused;
    if (wifi.wanted && !earshot_wifi_is_joined()) {
        esp_wifi_connect();
    }
}

static void got_address(void)
{
    atomic_store(&wifi.joined, true);
    bool is_new = strcmp(wifi.ssid, wifi.settings->wifi_ssid) || strcmp(wifi.password, wifi.settings->wifi_pass);
    if (is_new && earshot_settings_keep_wifi(wifi.settings, wifi.ssid, wifi.password) != ESP_OK) {
        ESP_LOGE(TAG, "this Wi-Fi cannot be kept in NVS");
    }
    tell(true);
    earshot_wake();
}

static void lost(void)
{
    atomic_store(&wifi.joined, false);
    esp_timer_stop(wifi.again);
    esp_timer_start_once(wifi.again, AGAIN_US);
    earshot_wake();
}

static void tell_networks(void)
{
    static wifi_ap_record_t records[NETWORKS];
    uint16_t count = NETWORKS;
    if (esp_wifi_scan_get_ap_records(&count, records) != ESP_OK) {
        count = 0;
    }
    for (uint16_t i = 0; i < count && wifi.found; i++) {
        wifi.found((const char *)records[i].ssid, records[i].rssi, records[i].authmode != WIFI_AUTH_OPEN);
    }
    wifi.found = NULL;
    if (wifi.end) {
        wifi.end();
    }
    wifi.end = NULL;
}

static void happened(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    (void)unused;
    (void)data;
    if (base == IP_EVENT && id == IP_EVENT_STA_GOT_IP) {
        got_address();
    } else if (base == WIFI_EVENT && id == WIFI_EVENT_STA_DISCONNECTED) {
        lost();
    } else if (base == WIFI_EVENT && id == WIFI_EVENT_STA_START) {
        try_again(NULL);
    } else if (base == WIFI_EVENT && id == WIFI_EVENT_SCAN_DONE) {
        tell_networks();
    }
}

static esp_err_t configure(const char *ssid, const char *password)
{
    wifi_config_t config = {
        .sta = {.threshold.authmode = password[0] ? WIFI_AUTH_WPA2_PSK : WIFI_AUTH_OPEN, .pmf_cfg.capable = true}};
    snprintf(wifi.ssid, sizeof wifi.ssid, "%s", ssid);
    snprintf(wifi.password, sizeof wifi.password, "%s", password);
    memcpy(config.sta.ssid, wifi.ssid, strlen(wifi.ssid)); /* of 32 bytes and 64: without a zero where they are full */
    memcpy(config.sta.password, wifi.password, strlen(wifi.password));
    wifi.wanted = true;
    return esp_wifi_set_config(WIFI_IF_STA, &config);
}

/* A new one that was not joined: back to that which was, or to none. */
static void give_up(void *unused)
{
    (void)unused;
    wifi.wanted = wifi.settings->wifi_ssid[0] != 0;
    esp_wifi_disconnect();
    if (wifi.wanted && configure(wifi.settings->wifi_ssid, wifi.settings->wifi_pass) == ESP_OK) {
        esp_wifi_connect();
    }
    tell(false);
}

static esp_err_t timers(void)
{
    const esp_timer_create_args_t again = {.callback = try_again, .name = "wifi again"};
    const esp_timer_create_args_t too_late = {.callback = give_up, .name = "wifi too late"};
    ESP_RETURN_ON_ERROR(esp_timer_create(&again, &wifi.again), TAG, "timer");
    return esp_timer_create(&too_late, &wifi.too_late);
}

esp_err_t earshot_wifi_open(earshot_settings *settings)
{
    wifi_init_config_t config = WIFI_INIT_CONFIG_DEFAULT();
    wifi.settings = settings;
    ESP_RETURN_ON_ERROR(timers(), TAG, "Wi-Fi");
    ESP_RETURN_ON_ERROR(esp_netif_init(), TAG, "network");
    esp_err_t loop = esp_event_loop_create_default();
    ESP_RETURN_ON_FALSE(loop == ESP_OK || loop == ESP_ERR_INVALID_STATE, loop, TAG,
                        "events"); /* the application may have one */
    esp_netif_create_default_wifi_sta();
    ESP_RETURN_ON_ERROR(esp_wifi_init(&config), TAG, "Wi-Fi");
    ESP_RETURN_ON_ERROR(esp_event_handler_register(WIFI_EVENT, ESP_EVENT_ANY_ID, happened, NULL), TAG, "events");
    ESP_RETURN_ON_ERROR(esp_event_handler_register(IP_EVENT, IP_EVENT_STA_GOT_IP, happened, NULL), TAG, "events");
    ESP_RETURN_ON_ERROR(esp_wifi_set_storage(WIFI_STORAGE_RAM), TAG, "Wi-Fi");
    ESP_RETURN_ON_ERROR(esp_wifi_set_mode(WIFI_MODE_STA), TAG, "Wi-Fi");
    if (settings->wifi_ssid[0]) {
        ESP_RETURN_ON_ERROR(configure(settings->wifi_ssid, settings->wifi_pass), TAG, "Wi-Fi %s", settings->wifi_ssid);
    }
    ESP_RETURN_ON_ERROR(esp_wifi_start(), TAG, "Wi-Fi");
    return esp_wifi_set_ps(WIFI_PS_NONE); /* audio waits for no beacon */
}

void earshot_wifi_join(const char *ssid, const char *password, void (*done)(bool joined))
{
    atomic_store(&wifi.joined, false);
    wifi.done = NULL;
    esp_wifi_disconnect();
    wifi.done = done;
    esp_timer_stop(wifi.too_late);
    if (configure(ssid, password) != ESP_OK) {
        tell(false);
        return;
    }
    esp_timer_start_once(wifi.too_late, JOIN_US);
    esp_wifi_connect();
}

void earshot_wifi_scan(earshot_wifi_found *found, void (*end)(void))
{
    wifi.found = found;
    wifi.end = end;
    if (esp_wifi_scan_start(NULL, false) != ESP_OK) {
        wifi.found = NULL; /* it is just joining one: there is nothing to tell */
        tell_networks();
    }
}

esp_err_t earshot_wifi_own(const char *name, bool on)
{
    static esp_netif_t *own;
    if (!on) {
        return esp_wifi_set_mode(WIFI_MODE_STA);
    }
    if (!own) {
        own = esp_netif_create_default_wifi_ap();
    }
    wifi_config_t config = {.ap = {.max_connection = 4, .authmode = WIFI_AUTH_OPEN}};
    size_t length = strlen(name) < sizeof config.ap.ssid ? strlen(name) : sizeof config.ap.ssid;
    memcpy(config.ap.ssid, name, length);
    config.ap.ssid_len = (uint8_t)length;
    ESP_RETURN_ON_ERROR(esp_wifi_set_mode(WIFI_MODE_APSTA), TAG, "own network");
    return esp_wifi_set_config(WIFI_IF_AP, &config);
}

#endif
