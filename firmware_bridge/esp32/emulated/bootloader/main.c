/*
 * The emulated board's bootloader, in its first flash: starts the image that the record names. One that was started
 * before and has not said since that it reached a gateway is taken back: the other one is started, for good.
 */
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
    } else {
        return;
    }
    kept_write(KEPT_RECORD, record, sizeof *record);
}

int main(void)
{
    struct image_record record;

    if (!kept_read(KEPT_RECORD, &record, sizeof record)) {
        return 1; /* there is nothing to start */
    }
    judge(&record);
    flash_read(IMAGE_PLACE(record.place), (void *)IMAGE_RUNS_AT, record.size[record.place]);
    __asm__ volatile("fence.i\n\tjr %0" : : "r"(IMAGE_RUNS_AT) : "memory");
    return 1;
}
