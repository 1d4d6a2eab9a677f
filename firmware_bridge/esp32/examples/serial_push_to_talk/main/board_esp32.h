/* board.h on an ESP32, by the component's microphone, line and button. */
#ifndef BOARD_ESP32_H
#define BOARD_ESP32_H

#include "esp_err.h"

/* Before anything of board.h. */
esp_err_t board_open(void);

#endif
