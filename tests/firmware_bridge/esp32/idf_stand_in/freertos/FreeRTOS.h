/* A stand-in for ESP-IDF on a PC, for the files of the component that hold no driver: the little of FreeRTOS that they
 * use, by POSIX threads. Real tasks and real clocks; sizes of stacks and priorities mean nothing. */
#ifndef FREERTOS_STAND_IN_H
#define FREERTOS_STAND_IN_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../esp_attr.h"

typedef uint32_t TickType_t;
typedef int BaseType_t;
typedef pthread_mutex_t portMUX_TYPE;

#define pdTRUE 1
#define pdFALSE 0
#define pdPASS 1
#define pdMS_TO_TICKS(ms) ((TickType_t)(ms))
#define portMUX_INITIALIZER_UNLOCKED PTHREAD_MUTEX_INITIALIZER
#define taskENTER_CRITICAL(lock) pthread_mutex_lock(lock)
#define taskEXIT_CRITICAL(lock) pthread_mutex_unlock(lock)
#define portYIELD_FROM_ISR(switches) ((void)(switches))
#define tskIDLE_PRIORITY 0

#endif
