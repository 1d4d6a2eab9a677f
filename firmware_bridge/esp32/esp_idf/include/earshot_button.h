/* The push-to-talk button: low when pressed, bounces for 30 ms at most. */
#ifndef EARSHOT_BUTTON_H
#define EARSHOT_BUTTON_H

#include <stdbool.h>
#include <stdint.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* pin -1: a board without one. `woken` is called from the interrupt at each edge, and must be in IRAM; NULL: nobody. */
esp_err_t earshot_button_open(int pin, void (*woken)(void));

/* Whether it is held, bouncing over. From one task, every 20 ms or so. */
bool earshot_button_held(uint32_t now_ms);

#ifdef __cplusplus
}
#endif

#endif
