/* Wi-Fi set-up without a cable of its own: three ways in, one Wi-Fi behind them. */
#ifndef EARSHOT_SETUP_H
#define EARSHOT_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "earshot_settings.h"
#include "esp_err.h"

/* Improv over the serial line: each byte of it is shown to this; out: bytes for the line, in the caller's task. */
void earshot_setup_serial_open(const earshot_settings *settings, const char *firmware,
                               size_t (*out)(const uint8_t *bytes, size_t count));
void earshot_setup_serial_came(const uint8_t *bytes, size_t count);
/* What the Wi-Fi has said since; from the same task, now and then. */
void earshot_setup_serial_look(void);

/* Improv over Bluetooth, on until a Wi-Fi was joined. */
esp_err_t earshot_setup_ble_open(const earshot_settings *settings);

/* A network of the board's own with one page, on until a Wi-Fi was joined. */
esp_err_t earshot_setup_portal_open(const earshot_settings *settings);

#endif
