#ifndef ESP_HEAP_CAPS_STAND_IN_H
#define ESP_HEAP_CAPS_STAND_IN_H

#include <stdlib.h>

#define MALLOC_CAP_8BIT 4
#define heap_caps_malloc(size, caps) malloc(size)

#endif
