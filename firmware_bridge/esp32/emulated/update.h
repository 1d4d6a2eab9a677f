/* Firmware over the air for the emulated board: earshot_update.h's port over its flash. */
#ifndef UPDATE_H
#define UPDATE_H

#include <stdbool.h>

#include "earshot_update.h"

/* Fills it in. False: this board was not started by its bootloader, and has no place for an image. */
bool update_begin(earshot_update_config *config);

#endif
