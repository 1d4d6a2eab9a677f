/* esp-sr's WakeNet as Earshot's wake hook. The model is chosen in menuconfig (ESP Speech Recognition) and lies in the
 * partition "model". */
#ifndef WAKE_NET_H
#define WAKE_NET_H

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

esp_err_t wake_net_open(void);

/* earshot_esp_config.wake */
const char *wake_net_hear(void *context, const int16_t *samples, size_t count, int16_t *score);

#endif
