/* A stand-in for ESP-IDF on a PC, for the files of the component that decide and hold no driver: the little of FreeRTOS'
 * message buffers, of esp_err.h, esp_check.h and esp_heap_caps.h that they use. One task; nothing ever waits. */
#ifndef FREERTOS_STAND_IN_H
#define FREERTOS_STAND_IN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint32_t TickType_t;

#endif
