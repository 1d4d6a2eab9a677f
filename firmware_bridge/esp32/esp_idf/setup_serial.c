#include "sdkconfig.h"

#if CONFIG_EARSHOT_IMPROV_SERIAL

#include <stdatomic.h>
#include <string.h>

#include "earshot.h"
#include "earshot_improv.h"
#include "freertos/FreeRTOS.h"
#include "freertos/message_buffer.h"
#include "setup.h"
#include "wifi.h"

typedef struct {
    enum { JOINED, FAILED, NETWORK, NETWORKS_END } what;
    char ssid[EARSHOT_NVS_WIFI_SSID_MOST + 1];
    int rssi;
    bool locked;
} news;

static earshot_improv improv;
static MessageBufferHandle_t told; /* by the event task, for the link's */
static size_t (*line)(const uint8_t *bytes, size_t count);

static void out(void *unused, const uint8_t *bytes, size_t count)
{
    (void)unused;
    line((const uint8_t *)"\n", 1); /* an answer begins a line: the gateway's text log is cut there */
    line(bytes, count);
}

static void tell(const news *one)
{
    xMessageBufferSend(told, one, sizeof *one, 0);
}

static void went(bool joined)
{
    tell(&(news){.what = joined ? JOINED : FAILED});
}

static void found(const char *ssid, int rssi, bool locked)
{
    news one = {.what = NETWORK, .rssi = rssi, .locked = locked};
    strncpy(one.ssid, ssid, sizeof one.ssid - 1);
    tell(&one);
}

static void end(void)
{
    tell(&(news){.what = NETWORKS_END});
}

static void join(void *unused, const char *ssid, const char *password)
{
    (void)unused;
    earshot_wifi_join(ssid, password, went);
}

static void scan(void *unused)
{
    (void)unused;
    earshot_wifi_scan(found, end);
}

void earshot_setup_serial_open(const earshot_settings *settings, const char *firmware,
                               size_t (*to)(const uint8_t *bytes, size_t count))
{
    earshot_improv_port port = {.out = out,
                                .join = join,
                                .scan = scan,
                                .firmware = firmware,
                                .version = EARSHOT_VERSION,
                                .chip = CONFIG_IDF_TARGET,
                                .name = settings->id};
    line = to;
    told = xMessageBufferCreate(24 * (sizeof(news) + sizeof(size_t)));
    earshot_improv_init(&improv, &port, earshot_wifi_is_joined());
}

void earshot_setup_serial_came(const uint8_t *bytes, size_t count)
{
    earshot_improv_feed(&improv, bytes, count);
}

void earshot_setup_serial_look(void)
{
    news one;
    while (told && xMessageBufferReceive(told, &one, sizeof one, 0) == sizeof one) {
        switch (one.what) {
        case JOINED: earshot_improv_joined(&improv, NULL); break;
        case FAILED: earshot_improv_failed(&improv); break;
        case NETWORK: earshot_improv_network(&improv, one.ssid, one.rssi, one.locked); break;
        default: earshot_improv_networks_end(&improv);
        }
    }
}

#endif
