/* Analog microphones behind a converter chip: it is woken over I2C before the I2S channel says anything. */
#ifndef EARSHOT_CONVERTER_H
#define EARSHOT_CONVERTER_H

#include "earshot_microphone.h"

/* Nothing to do for boards without one. `receiver`: the I2S channel, made but not yet enabled. */
esp_err_t earshot_converter_open(const earshot_board *board, void *receiver);

#endif
