/* The second flash of qemu's riscv32 machine `virt`: two Intel chips side by side, in sectors. While one of these works
 * nothing can be read from it: programs run from elsewhere. */
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLASH_SECTOR 0x40000u /* bytes that are erased at a time */

void flash_read(uint32_t at, void *bytes, size_t count);

/* All ones in the sector at `at`, a multiple of FLASH_SECTOR. */
void flash_erase(uint32_t at);

/* Writes what was erased. Says whether it stands there. */
bool flash_write(uint32_t at, const void *bytes, size_t count);

#endif
