#include "kept.h"

#include <string.h>

#include "earshot_framing.h"
#include "flash.h"

#define MOST 256u

struct kept {
    uint32_t crc;   /* of all that follows */
    uint32_t count; /* the newer one has the larger */
    uint32_t size;
    uint8_t data[MOST];
};

static uint32_t crc_of(const struct kept *one)
{
    return earshot_crc32(0, (const uint8_t *)&one->count, offsetof(struct kept, data) - sizeof one->crc + one->size);
}

static uint32_t sector(uint32_t pair, uint32_t count)
{
    return (2u * pair + count % 2u) * FLASH_SECTOR;
}

static bool read_one(uint32_t at, size_t size, struct kept *one)
{
    flash_read(at, one, sizeof *one);
    return one->size == size && one->crc == crc_of(one);
}

/* The newer one; what it counts is 0 where there is none. */
static void read_newest(uint32_t pair, size_t size, struct kept *newest)
{
    struct kept other;

    if (!read_one(sector(pair, 0), size, newest)) {
        newest->count = 0;
    }
    if (read_one(sector(pair, 1), size, &other) && other.count > newest->count) {
        *newest = other;
    }
}

bool kept_read(uint32_t pair, void *data, size_t size)
{
    struct kept newest;

    read_newest(pair, size, &newest);
    if (newest.count == 0) {
        return false;
    }
    memcpy(data, newest.data, size);
    return true;
}

bool kept_write(uint32_t pair, const void *data, size_t size)
{
    struct kept one;

    read_newest(pair, size, &one);
    one.count++;
    one.size = (uint32_t)size;
    memset(one.data, 0xFF, sizeof one.data);
    memcpy(one.data, data, size);
    one.crc = crc_of(&one);
    flash_erase(sector(pair, one.count));
    return flash_write(sector(pair, one.count), &one, sizeof one);
}
