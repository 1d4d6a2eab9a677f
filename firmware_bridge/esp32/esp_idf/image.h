/* Firmware over the air on an ESP32: earshot_update.h's port over esp_ota_ops and NVS. */
#ifndef EARSHOT_IMAGE_H
#define EARSHOT_IMAGE_H

#include "earshot_esp.h"
#include "earshot_update.h"

/* Whether this board can take images: it has a place for one, a key that signs them, and a kind. */
bool earshot_image_can(const earshot_esp_config *config, const earshot_settings *settings);

/* What goes into earshot_update_config; the key is kept, not copied. */
earshot_update_port earshot_image_port(const uint8_t *key);

#endif
