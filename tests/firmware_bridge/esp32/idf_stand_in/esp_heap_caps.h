#ifndef ESP_HEAP_CAPS_STAND_IN_H
#define ESP_HEAP_CAPS_STAND_IN_H

#include <stdlib.h>

#define MALLOC_CAP_8BIT 4
#define MALLOC_CAP_INTERNAL 2048
#define heap_caps_malloc(size, caps) malloc(size)
#define heap_caps_aligned_alloc(alignment, size, caps) malloc(size)
#define heap_caps_get_free_size(caps) ((size_t)100000)

#endif
