/* The board's light: shows what earshot_led.h says of a state, on a task of its own. */
#ifndef EARSHOT_LIGHT_H
#define EARSHOT_LIGHT_H

#include "earshot_led.h"
#include "earshot_microphone.h"

/* Once. A board without a light: ESP_OK, and nothing is shown. */
esp_err_t earshot_light_open(const earshot_board *board);

/* Any task. */
void earshot_light_show(earshot_light light);

#endif
