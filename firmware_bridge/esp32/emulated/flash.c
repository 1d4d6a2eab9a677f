#include "flash.h"

#include <string.h>

/* Intel's commands, for both chips at once. */
#define COMMAND(code) ((uint32_t)(code) * 0x00010001u)
#define READ_ARRAY COMMAND(0xFF)
#define ERASE COMMAND(0x20)
#define WRITE_BUFFER COMMAND(0xE8)
#define CONFIRM COMMAND(0xD0)
#define READY COMMAND(0x80)
#define BUFFER 2048u /* bytes written at a time, none of them in another buffer's place */

static volatile uint32_t *word(uint32_t at)
{
    return (volatile uint32_t *)((uintptr_t)FLASH + at);
}

static void wait(uint32_t at)
{
    while ((*word(at) & READY) != READY) {
    }
}

void flash_erase(uint32_t at)
{
    *word(at) = ERASE;
    *word(at) = CONFIRM;
    wait(at);
    *word(at) = READ_ARRAY;
}

static void write_buffer(uint32_t at, const uint8_t *bytes, size_t count)
{
    uint32_t words = (uint32_t)(count + 3u) / 4u;

    *word(at) = WRITE_BUFFER;
    wait(at);
    *word(at) = COMMAND(words - 1u);
    for (uint32_t number = 0; number < words; number++) {
        uint32_t value = 0xFFFFFFFFu;
        size_t left = count - 4u * number;

        memcpy(&value, bytes + 4u * number, left < 4u ? left : 4u);
        *word(at + 4u * number) = value;
    }
    *word(at) = CONFIRM;
    wait(at);
    *word(at) = READ_ARRAY;
}

bool flash_write(uint32_t at, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;

    for (size_t done = 0; done < count;) {
        size_t room = BUFFER - (at + done) % BUFFER;
        size_t piece = count - done < room ? count - done : room;

        write_buffer(at + (uint32_t)done, from + done, piece);
        done += piece;
    }
    for (size_t place = 0; place < count; place++) {
        if (FLASH[at + place] != from[place]) {
            return false;
        }
    }
    return true;
}
