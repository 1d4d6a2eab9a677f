/*
 * The emulated board's bootloader, in its first flash: starts the image that the record names. One that was started before and has not said
 * since that it reached a gateway is taken back: the other one is started, for good.
 */
#include "flash.h"
#include "images.h"

__asm__(".option arch, +zifencei"); /* by its name, rv32imac does without since 2019 */

static void judge(struct image_record *record)
{
    uint32_t other = 1u - record->place;

    if (record->state == IMAGE_FRESH) {
        record->state = IMAGE_ON_TRIAL;
    } else if (record->state == IMAGE_ON_TRIAL && record->size[other] != 0) {
        record->place = other;
        record->state = IMAGE_KNOWN;
        record->taken_back = 1;
    } else {
        return;
    }
    image_record_write(record);
}

static void copy(uint32_t place, uint32_t size)
{
    const volatile uint32_t *from = (const volatile uint32_t *)(FLASH + image_place(place));
    volatile uint32_t *to = (volatile uint32_t *)IMAGE_RUNS_AT;

    for (uint32_t word = 0; word < (size + 3u) / 4u; word++) {
        to[word] = from[word];
    }
}

int main(void)
{
    struct image_record record;

    if (!image_record_read(&record)) {
        return 1; /* there is nothing to start */
    }
    judge(&record);
    copy(record.place, record.size[record.place]);
    __asm__ volatile("fence.i\n\tjr %0" : : "r"(IMAGE_RUNS_AT) : "memory");
    return 1;
}
