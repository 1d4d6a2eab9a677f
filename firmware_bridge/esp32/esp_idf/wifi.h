/* The board's Wi-Fi: joins, joins again for ever, looks for networks, and is an access point of its own for the set-up
 * page. */
#ifndef EARSHOT_WIFI_H
#define EARSHOT_WIFI_H

#include <stdbool.h>
#include <stdint.h>

#include "earshot_settings.h"

/* Once. Joins what the settings name, if they name one. */
esp_err_t earshot_wifi_open(earshot_settings *settings);

/* Joins another one, and keeps it in NVS once it was joined. `done` (may be NULL) is called in the event task, once:
 * joined, or not within 20 s. */
void earshot_wifi_join(const char *ssid, const char *password, void (*done)(bool joined));

bool earshot_wifi_is_joined(void);

/* Looks for networks; `found` for each, the strongest first, 20 at most, then `end`, in the event task. */
typedef void earshot_wifi_found(const char *ssid, int rssi, bool locked);
void earshot_wifi_scan(earshot_wifi_found *found, void (*end)(void));

/* A network of the board's own, without a password, beside the other. */
esp_err_t earshot_wifi_own(const char *name, bool on);

#endif
