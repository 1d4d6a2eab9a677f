#include "sdkconfig.h"

#if CONFIG_EARSHOT_MQTT

#include <stdio.h>
#include <string.h>

#include "esp_check.h"
#include "messages.h"
#include "mqtt_client.h"
#include "wire.h"

#if CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
#include "esp_crt_bundle.h"
#endif

#define TOPIC (EARSHOT_NVS_MQTT_PREFIX_MOST + EARSHOT_NVS_ID_MOST + 8)

static const char *const TAG = "earshot";
static esp_mqtt_client_handle_t client;
static struct {
    char up[TOPIC], down[TOPIC], state[TOPIC];
} topics;
static int subscription;

static bool send_message(const uint8_t *bytes, size_t size)
{
    return esp_mqtt_client_publish(client, topics.up, (const char *)bytes, (int)size, 0, 0) >= 0;
}

/* A device subscribes before it says HELLO: the carrier is up when the broker has said yes (docs/protocol.md, 2.2). */
static void happened(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    const esp_mqtt_event_t *event = data;
    (void)unused;
    (void)base;
    switch ((esp_mqtt_event_id_t)id) {
    case MQTT_EVENT_CONNECTED: subscription = esp_mqtt_client_subscribe_single(client, topics.down, 0); break;
    case MQTT_EVENT_SUBSCRIBED:
        if (event->msg_id == subscription) {
            esp_mqtt_client_publish(client, topics.state, "online", 0, 0, 1);
            earshot_messages_up();
        }
        break;
    case MQTT_EVENT_DISCONNECTED: earshot_messages_down(); break;
    case MQTT_EVENT_DATA:
        if (!event->retain && event->data_len == event->total_data_len) {
            earshot_messages_came((const uint8_t *)event->data, (size_t)event->data_len);
        }
        break;
    default: break;
    }
}

static void name_topics(const earshot_settings *settings)
{
    snprintf(topics.up, sizeof topics.up, "%s/%s/up", settings->mqtt_prefix, settings->id);
    snprintf(topics.down, sizeof topics.down, "%s/%s/down", settings->mqtt_prefix, settings->id);
    snprintf(topics.state, sizeof topics.state, "%s/%s/state", settings->mqtt_prefix, settings->id);
}

static esp_err_t open_mqtt(const earshot_settings *settings)
{
    ESP_RETURN_ON_ERROR(earshot_messages_open(send_message), TAG, "queues");
    ESP_RETURN_ON_FALSE(settings->mqtt_url[0], ESP_ERR_INVALID_STATE, TAG, "NVS names no broker (mqtt_url)");
    name_topics(settings);
    esp_mqtt_client_config_t config = {
        .broker.address.uri = settings->mqtt_url,
        .broker.verification.certificate = settings->ca_pem,
        .credentials.username = settings->mqtt_user,
        .credentials.client_id = settings->id,
        .credentials.authentication.password = settings->mqtt_pass[0] ? settings->mqtt_pass : NULL,
        .session.last_will = {.topic = topics.state, .msg = "offline", .qos = 0, .retain = 1},
        .session.keepalive = 30,
        .network.reconnect_timeout_ms = 2000,
        .buffer.size = EARSHOT_MESSAGE + TOPIC + 16, /* a frame comes in one piece */
    };
#if CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
    if (!settings->ca_pem) {
        config.broker.verification.crt_bundle_attach = esp_crt_bundle_attach;
    }
#endif
    client = esp_mqtt_client_init(&config);
    ESP_RETURN_ON_FALSE(client, ESP_ERR_INVALID_ARG, TAG, "no broker's address: %s", settings->mqtt_url);
    ESP_RETURN_ON_ERROR(esp_mqtt_client_register_event(client, MQTT_EVENT_ANY, happened, NULL), TAG, "MQTT");
    return esp_mqtt_client_start(client);
}

const earshot_wire earshot_wire_mqtt = {EARSHOT_MESSAGES, open_mqtt, earshot_messages_write, earshot_messages_read,
                                        earshot_messages_times_up};

#endif
