#include "images.h"

#include <stddef.h>

#include "earshot_framing.h"
#include "flash.h"

#define MAGIC 0x474D4945u /* "EIMG" */
#define RECORDS 2u        /* a sector each, in front of the places */

static uint32_t crc_of(const struct image_record *record)
{
    return earshot_crc32(0, (const uint8_t *)record, offsetof(struct image_record, crc));
}

static bool read_one(uint32_t sector, struct image_record *record)
{
    uint8_t *bytes = (uint8_t *)record;

    for (size_t place = 0; place < sizeof *record; place++) {
        bytes[place] = FLASH[sector * FLASH_SECTOR + place];
    }
    return record->magic == MAGIC && record->crc == crc_of(record) && record->place < 2u;
}

bool image_record_read(struct image_record *record)
{
    struct image_record other;
    bool first = read_one(0, record);

    if (!read_one(1, &other)) {
        return first;
    }
    if (!first || other.count > record->count) {
        *record = other;
    }
    return true;
}

bool image_record_write(struct image_record *record)
{
    record->magic = MAGIC;
    record->count++;
    record->crc = crc_of(record);

    uint32_t at = record->count % RECORDS * FLASH_SECTOR;
    flash_erase(at);
    return flash_write(at, record, sizeof *record);
}

uint32_t image_place(uint32_t place)
{
    return RECORDS * FLASH_SECTOR + place * IMAGE_ROOM;
}
