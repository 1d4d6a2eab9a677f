#include "sdkconfig.h"

#if CONFIG_EARSHOT_WEBSOCKET

#include <stdio.h>
#include <string.h>

#include "esp_check.h"
#include "esp_event.h"
#include "esp_websocket_client.h"
#include "freertos/FreeRTOS.h"
#include "messages.h"
#include "wire.h"

#if CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
#include "esp_crt_bundle.h"
#endif

#define BINARY 2 /* opcodes of RFC 6455 */
#define CONTINUED 0

static const char *const TAG = "earshot";
static esp_websocket_client_handle_t client;
static struct {
    uint8_t bytes[EARSHOT_MESSAGE];
    size_t size;
    bool broken;
} coming;

static bool send_message(const uint8_t *bytes, size_t size)
{
    return esp_websocket_client_send_bin(client, (const char *)bytes, (int)size, pdMS_TO_TICKS(10000)) == (int)size;
}

/* A message comes in pieces of the client's buffer, and in fragments. */
static void take(const esp_websocket_event_data_t *piece)
{
    if (piece->op_code != BINARY && piece->op_code != CONTINUED) {
        return;
    }
    if (piece->op_code == BINARY && piece->payload_offset == 0) {
        coming.size = 0;
        coming.broken = false;
    }
    size_t count = piece->data_len > 0 ? (size_t)piece->data_len : 0;
    if (coming.size + count > sizeof coming.bytes) {
        coming.broken = true;
        return;
    }
    memcpy(coming.bytes + coming.size, piece->data_ptr, count);
    coming.size += count;
    bool whole = piece->fin && piece->payload_offset + piece->data_len >= piece->payload_len;
    if (whole && !coming.broken) {
        earshot_messages_came(coming.bytes, coming.size);
    }
}

static void happened(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    (void)unused;
    (void)base;
    switch (id) {
    case WEBSOCKET_EVENT_CONNECTED: earshot_messages_up(); break;
    case WEBSOCKET_EVENT_DISCONNECTED:
    case WEBSOCKET_EVENT_CLOSED: earshot_messages_down(); break;
    case WEBSOCKET_EVENT_DATA: take(data); break;
    default: break;
    }
}

static esp_err_t open_websocket(const earshot_settings *settings)
{
    static char headers[sizeof settings->ws_token + 32];
    ESP_RETURN_ON_ERROR(earshot_messages_open(send_message), TAG, "queues");
    ESP_RETURN_ON_FALSE(settings->ws_url[0], ESP_ERR_INVALID_STATE, TAG, "NVS names no gateway (ws_url)");
    if (settings->ws_token[0]) {
        snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", settings->ws_token);
    }
    esp_websocket_client_config_t config = {
        .uri = settings->ws_url,
        .headers = headers[0] ? headers : NULL,
        .cert_pem = settings->ca_pem,
        .buffer_size = EARSHOT_MESSAGE,
        .task_stack = 6144,
        .reconnect_timeout_ms = 2000,
        .network_timeout_ms = 10000,
        .enable_close_reconnect = true,
        .ping_interval_sec = 10,
        .pingpong_timeout_sec = 25,
    };
#if CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
    if (!settings->ca_pem) {
        config.crt_bundle_attach = esp_crt_bundle_attach;
    }
#endif
    client = esp_websocket_client_init(&config);
    ESP_RETURN_ON_FALSE(client, ESP_ERR_INVALID_ARG, TAG, "no gateway's address: %s", settings->ws_url);
    ESP_RETURN_ON_ERROR(esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, happened, NULL), TAG, "WebSocket");
    return esp_websocket_client_start(client);
}

const earshot_wire earshot_wire_websocket = {EARSHOT_MESSAGES, open_websocket, earshot_messages_write,
                                             earshot_messages_read, earshot_messages_times_up};

#endif
