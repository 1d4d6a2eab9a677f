#include "update.h"

#include "earshot_p256.h"
#include "images.h"
#include "virt.h"

#ifndef IMAGE_KEY
#define IMAGE_KEY 0 /* nobody's: no image is taken */
#endif
#ifndef IMAGE_NUMBER
#define IMAGE_NUMBER 1 /* of this firmware: a later one has a larger */
#endif
#ifndef TRIAL_MILLISECONDS
#define TRIAL_MILLISECONDS 0 /* as long as the library says */
#endif

static const uint8_t key[64] = {IMAGE_KEY};
static struct image_record record;

static uint32_t other_place(void)
{
    return IMAGE_PLACE(1u - record.place);
}

static uint32_t running(void *context)
{
    (void)context;
    return record.place;
}

static uint32_t room(void *context)
{
    (void)context;
    return IMAGE_ROOM;
}

static bool verify(void *context, const uint8_t *message, size_t size, const uint8_t *signature)
{
    (void)context;
    return earshot_p256_signed(key, message, size, signature);
}

static bool begin(void *context, uint32_t size)
{
    (void)context;
    for (uint32_t done = 0; done < size; done += FLASH_SECTOR) {
        flash_erase(other_place() + done);
    }
    record.size[1u - record.place] = size;
    return true;
}

static bool write(void *context, uint32_t offset, const uint8_t *bytes, size_t size)
{
    (void)context;
    return flash_write(other_place() + offset, bytes, size);
}

static bool read(void *context, uint32_t offset, uint8_t *bytes, size_t size)
{
    (void)context;
    flash_read(other_place() + offset, bytes, size);
    return true;
}

/* What is started next, and how sure of it we are. */
static bool name(uint32_t place, uint32_t state)
{
    record.place = place;
    record.state = state;
    return kept_write(KEPT_RECORD, &record, sizeof record);
}

static earshot_update_reason finish(void *context)
{
    (void)context;
    struct image_record next = record;

    next.place = 1u - record.place;
    next.state = IMAGE_FRESH;
    return kept_write(KEPT_RECORD, &next, sizeof next) ? EARSHOT_U_NONE : EARSHOT_U_STORAGE;
}

static void start(void *context)
{
    (void)context;
    virt_reset();
}

static void confirm(void *context)
{
    (void)context;
    if (record.state != IMAGE_KNOWN) {
        name(record.place, IMAGE_KNOWN);
    }
}

static void roll_back(void *context)
{
    (void)context;
    if (name(1u - record.place, IMAGE_KNOWN)) {
        virt_reset();
    }
    record.place = 1u - record.place; /* it runs on, and is asked again */
}

static bool load(void *context, earshot_update_memory *memory)
{
    (void)context;
    return kept_read(KEPT_UPDATE, memory, sizeof *memory);
}

static bool save(void *context, const earshot_update_memory *memory)
{
    (void)context;
    return kept_write(KEPT_UPDATE, memory, sizeof *memory);
}

bool update_begin(earshot_update_config *config)
{
    *config = (earshot_update_config){
        .number = IMAGE_NUMBER,
        .trial_ms = TRIAL_MILLISECONDS,
        .port = {.running = running,
                 .room = room,
                 .verify = verify,
                 .begin = begin,
                 .write = write,
                 .read = read,
                 .finish = finish,
                 .start = start,
                 .confirm = confirm,
                 .roll_back = roll_back,
                 .load = load,
                 .save = save},
    };
    return kept_read(KEPT_RECORD, &record, sizeof record);
}
