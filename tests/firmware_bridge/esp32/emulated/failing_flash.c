/* flash.h over memory, whose power fails after so many bytes: nothing is erased or written any more. */
#include "flash.h"

#include <string.h>

uint8_t memory[4 * FLASH_SECTOR];
uint32_t power;

void flash_read(uint32_t at, void *bytes, size_t count)
{
    memcpy(bytes, memory + at, count);
}

static void change(uint32_t at, uint8_t byte)
{
    if (power > 0) {
        power--;
        memory[at] = byte;
    }
}

void flash_erase(uint32_t at)
{
    /* From its end on: what is half erased still looks whole for long. What is erased already costs nothing. */
    for (uint32_t place = FLASH_SECTOR; place-- > 0;) {
        if (memory[at + place] != 0xFF) {
            change(at + place, 0xFF);
        }
    }
}

bool flash_write(uint32_t at, const void *bytes, size_t count)
{
    for (size_t place = 0; place < count; place++) {
        change(at + (uint32_t)place, ((const uint8_t *)bytes)[place]);
    }
    return memcmp(memory + at, bytes, count) == 0;
}
