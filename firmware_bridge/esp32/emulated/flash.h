/* The second flash of qemu's riscv32 machine `virt`: two Intel chips side by side, in sectors. While one of these works nothing can be read
 * from it: programs run from elsewhere. */
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLASH ((const volatile uint8_t *)0x22000000) /* to be read as memory */
#define FLASH_SECTOR 0x40000u                        /* bytes that are erased at a time */

/* All ones in the sector at `at`, a multiple of FLASH_SECTOR. */
void flash_erase(uint32_t at);

/* Writes what was erased; `at` is a multiple of 4, and so is `count`, or it is filled up with ones. Says whether it stands there. */
bool flash_write(uint32_t at, const void *bytes, size_t count);

#endif
