/*
 * What push_to_talk.c needs of a board. Two boards do it: ../../../esp_idf's (any ESP32) and ../../../emulated (the
 * riscv32 machine of qemu that the tests run). All of it is called from one task, and nothing here waits, except
 * board_wait.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "earshot_update.h"

/* Milliseconds since power-on; wraps after 49 days. */
uint32_t board_milliseconds(void);

/* From the hardware's random numbers. */
uint32_t board_random(void);

/* This device's name on its gateway, 1 to 64 of A-Z a-z 0-9 _ -. It stays where it is. */
const char *board_device_id(void);

/* Puts as many bytes as fit now on the way to the gateway; says how many. */
size_t board_write(const uint8_t *bytes, size_t count);

/* Takes what came from the gateway, at most `room` bytes; says how many. */
size_t board_read(uint8_t *bytes, size_t room);

/* Whether the button is held, bouncing over. */
bool board_button(void);

/* The microphone begins to listen (true), or stops. */
void board_listen(bool listen);

/* Takes the next `count` samples that the microphone heard, 16 kHz, once there are so many; says how many: `count` or
 * 0, after board_listen(false) what remains. */
size_t board_hear(int16_t *samples, size_t count);

/* A line for people: on a serial monitor, a display. `text` is UTF-8 and does not end with a zero. */
void board_print(const char *what, const char *text, size_t size);

/* Which firmware images are for this board, and how it takes them (earshot_update.h). NULL: none now. A board that
 * never takes any leaves this out. */
const char *board_takes_images(earshot_update_config *how);

/* Sleeps until bytes came from the gateway, or so long. */
void board_wait(uint32_t milliseconds);

#endif
