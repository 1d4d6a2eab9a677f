/* Two places for a firmware in the flash, and a record of which is started: what the bootloader and the firmware know
 * of each other. */
#ifndef IMAGES_H
#define IMAGES_H

#include <stdint.h>

#include "flash.h"
#include "kept.h"

#define IMAGE_ROOM (2u * FLASH_SECTOR) /* bytes of each place */
#define IMAGE_PLACE(place) (2u * KEPT_PAIRS * FLASH_SECTOR + (place) * IMAGE_ROOM)
#define IMAGE_RUNS_AT 0x80000000u /* where the bootloader puts it before it starts it */

enum { KEPT_RECORD = 0, KEPT_UPDATE = 1 }; /* pairs of kept.h */

enum {
    IMAGE_KNOWN = 1, /* it has reached a gateway */
    IMAGE_FRESH,     /* it was never started */
    IMAGE_ON_TRIAL /* it was started, and has not reached a gateway yet: whatever resets the board now takes it back */
};

struct image_record {
    uint32_t place;   /* 0 or 1: what is started */
    uint32_t state;   /* of what is in that place */
    uint32_t size[2]; /* of what is in each place; 0: nothing */
};

#endif
