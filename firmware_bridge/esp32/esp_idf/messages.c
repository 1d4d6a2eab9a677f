#include "messages.h"

#include <stdatomic.h>
#include <string.h>

#include "earshot.h"
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/message_buffer.h"
#include "freertos/task.h"
#include "wire.h"

#define QUEUED \
    (3 * EARSHOT_MESSAGE) /* either way: a second of Opus, 200 ms of PCM16; the device's ring holds the rest */

typedef struct {
    uint32_t connection;
    uint8_t bytes[EARSHOT_MESSAGE];
} message;

static MessageBufferHandle_t up, down;
static bool (*send_one)(const uint8_t *bytes, size_t size);
static atomic_uint connections; /* odd while there is one */

static void send_for_ever(void *unused)
{
    static message next;
    (void)unused;
    for (;;) {
        size_t size = xMessageBufferReceive(up, &next, sizeof next, portMAX_DELAY);
        earshot_wake(); /* there is room again */
        if (size > sizeof next.connection && next.connection == atomic_load(&connections) &&
            !send_one(next.bytes, size - sizeof next.connection)) {
            ESP_LOGW("earshot", "%u bytes were not sent", (unsigned)size);
        }
    }
}

esp_err_t earshot_messages_open(bool (*send)(const uint8_t *bytes, size_t size))
{
    send_one = send;
    up = xMessageBufferCreate(QUEUED);
    down = xMessageBufferCreate(QUEUED);
    if (!up || !down) {
        return ESP_ERR_NO_MEM;
    }
    BaseType_t made = xTaskCreate(send_for_ever, "earshot send", 6144, NULL, tskIDLE_PRIORITY + 5, NULL);
    return made == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
}

void earshot_messages_up(void)
{
    if (atomic_load(&connections) % 2 == 0) {
        atomic_fetch_add(&connections, 1);
    }
    earshot_wake();
}

void earshot_messages_down(void)
{
    if (atomic_load(&connections) % 2 == 1) {
        atomic_fetch_add(&connections, 1);
    }
    earshot_wake();
}

/* Where there is no room it is lost; the gateway sends numbered frames again. */
void earshot_messages_came(const uint8_t *bytes, size_t size)
{
    if (size && size <= EARSHOT_MESSAGE) {
        xMessageBufferSend(down, bytes, size, 0);
    }
    earshot_wake();
}

size_t earshot_messages_write(const uint8_t *bytes, size_t size)
{
    static message next;
    next.connection = atomic_load(&connections);
    if (next.connection % 2 == 0 || size > sizeof next.bytes) {
        return 0;
    }
    memcpy(next.bytes, bytes, size);
    return xMessageBufferSend(up, &next, sizeof next.connection + size, 0) ? size : 0;
}

size_t earshot_messages_read(uint8_t *bytes, size_t room)
{
    return xMessageBufferReceive(down, bytes, room, 0);
}

uint32_t earshot_messages_times_up(void)
{
    uint32_t now = atomic_load(&connections);
    return now % 2 ? now : 0;
}
