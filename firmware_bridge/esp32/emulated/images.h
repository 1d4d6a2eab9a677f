/* Two places for a firmware in the flash, and a record that says which is started: what the bootloader and the firmware know of each other. */
#ifndef IMAGES_H
#define IMAGES_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_ROOM 0x80000u       /* bytes of each place */
#define IMAGE_RUNS_AT 0x80000000u /* where the bootloader puts it before it starts it */

enum image_state {
    IMAGE_KNOWN = 1, /* it has reached a gateway */
    IMAGE_FRESH,     /* it was never started */
    IMAGE_ON_TRIAL   /* it was started, and has not reached a gateway yet: whatever resets the board now takes it back */
};

struct image_record {
    uint32_t magic;
    uint32_t count;   /* the newest record has the largest */
    uint32_t place;   /* 0 or 1: what is started */
    uint32_t state;   /* an image_state: of what is in that place */
    uint32_t size[2]; /* of what is in each place; 0: nothing */
    uint32_t taken_back; /* 1: the image in the other place was on trial, and failed */
    uint32_t crc;     /* of all before */
};

/* The newest record that is whole. False: there is none. */
bool image_record_read(struct image_record *record);

/* Writes it as the newest, beside the one before: whenever the power fails, one of them is whole. */
bool image_record_write(struct image_record *record);

/* Where in the flash that place begins. */
uint32_t image_place(uint32_t place);

#endif
