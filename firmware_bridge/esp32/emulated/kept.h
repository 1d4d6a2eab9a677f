/* A few bytes that are kept in the flash, whole or not at all: written in turn to one sector of a pair and the other,
 * so that whenever the power fails one of them is what it was. */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEPT_PAIRS 2u /* at the flash's beginning */

/* What was written last. False: nothing of this size is there. */
bool kept_read(uint32_t pair, void *data, size_t size);

/* At most 256 bytes. False: it could not be written. */
bool kept_write(uint32_t pair, const void *data, size_t size);

#endif
