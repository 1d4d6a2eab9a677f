#include "flash.h"

#include <string.h>

#define FLASH 0x22000000u

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
    return (volatile uint32_t *)(uintptr_t)(FLASH + at);
}

static void wait(uint32_t at)
{
    while ((*word(at) & READY) != READY) {
    }
}

void flash_read(uint32_t at, void *bytes, size_t count)
{
    const volatile uint8_t *from = (const volatile uint8_t *)(uintptr_t)(FLASH + at);
    uint8_t *to = bytes;

    while (count-- > 0) {
        *to++ = *from++;
    }
}

void flash_erase(uint32_t at)
{
    *word(at) = ERASE;
    *word(at) = CONFIRM;
    wait(at);
    *word(at) = READ_ARRAY;
}

static void write_words(uint32_t at, const uint32_t *values, uint32_t count)
{
    *word(at) = WRITE_BUFFER;
    wait(at);
    *word(at) = COMMAND(count - 1u);
    for (uint32_t number = 0; number < count; number++) {
        *word(at + 4u * number) = values[number];
    }
    *word(at) = CONFIRM;
    wait(at);
    *word(at) = READ_ARRAY;
}

/* Bytes of one buffer; the words that they begin and end in keep what else is in them. */
static bool write_buffer(uint32_t at, const uint8_t *bytes, size_t count)
{
    static uint32_t words[BUFFER / 4u];
    uint32_t first = at & ~3u;
    uint32_t all = (at + (uint32_t)count - first + 3u) / 4u;

    flash_read(first, words, 4u * all);
    memcpy((uint8_t *)words + (at - first), bytes, count);
    write_words(first, words, all);
    flash_read(first, words, 4u * all);
    return memcmp((uint8_t *)words + (at - first), bytes, count) == 0;
}

bool flash_write(uint32_t at, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    bool stands = true;

    while (count > 0 && stands) {
        size_t room = BUFFER - at % BUFFER;
        size_t piece = count < room ? count : room;

        stands = write_buffer(at, from, piece);
        at += (uint32_t)piece;
        from += piece;
        count -= piece;
    }
    return stands;
}
