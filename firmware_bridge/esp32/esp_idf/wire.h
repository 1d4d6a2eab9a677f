/* What carries frames between the link's task and the gateway: a serial line, MQTT or a WebSocket. */
#ifndef EARSHOT_WIRE_H
#define EARSHOT_WIRE_H

#include "earshot.h"
#include "earshot_settings.h"

typedef struct {
    earshot_carrier kind;
    /* Once. Settings stay where they are. ESP_ERR_INVALID_STATE: they do not say where to; it stays down. The wire
     * calls earshot_wake() when something came or it came up or went down. */
    esp_err_t (*open)(const earshot_settings *settings);
    /* In the link's task, without waiting. Messages: all of it or nothing. */
    size_t (*write)(const uint8_t *bytes, size_t size);
    /* In the link's task, without waiting. Messages: one of them, or nothing. */
    size_t (*read)(uint8_t *bytes, size_t room);
    /* 0: down. Up: a number that is another each time it came up. */
    uint32_t (*times_up)(void);
} earshot_wire;

extern const earshot_wire earshot_wire_serial, earshot_wire_mqtt, earshot_wire_websocket;

/* Wakes the link's task; any task, not interrupts. */
void earshot_wake(void);

#endif
