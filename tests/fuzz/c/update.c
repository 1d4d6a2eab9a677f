/* A board that is offered images, gets them in any order or not at all, and loses its power at any moment: nothing is
 * written before a signature was good, in no other order than it stands in the image, and nothing is started that is
 * not what was signed; what runs on trial is kept only after a WELCOME.
 *
 * Input: acts: what, how many bytes, and those. */
#include "promises.h"

#include "earshot.h"
#include "earshot_update.h"

enum { FRAME = 32, SLOTS = 5, ROOM = 3000 };

typedef struct {
    earshot_device device;
    earshot_update update;
    uint8_t ring[SLOTS * EARSHOT_SLOT(FRAME)];
    uint32_t now, boots;
    uint32_t running, next; /* slots: what runs, and what the bootloader starts next */
    bool on_trial;          /* `next` is started once */
    bool signed_well, begun, finished, restarting, welcomed;
    uint8_t sha256[32];     /* of what was signed, */
    uint32_t signed_size;   /* its size, */
    uint32_t size, written; /* and what is being written */
    uint8_t flash[ROOM];
    earshot_update_memory memory;
    bool has_memory, fails;
    uint8_t seed; /* which image the gateway has */
    uint32_t image_size;
} board;

/* -- the port */

static uint32_t running(void *context)
{
    return ((board *)context)->running;
}
static uint32_t room(void *context)
{
    (void)context;
    return ROOM;
}

static bool verify(void *context, const uint8_t *message, size_t size, const uint8_t *signature)
{
    board *one = context;
    promise(size >= 58 && size < 200 && !memcmp(message, "earshot-image-1", 16));
    one->signed_well = signature[63] & 1;
    one->signed_size = message[size - 40] | (uint32_t)message[size - 39] << 8 | (uint32_t)message[size - 38] << 16 |
                       (uint32_t)message[size - 37] << 24;
    memcpy(one->sha256, message + size - 32, 32);
    return one->signed_well;
}

static bool begin(void *context, uint32_t size)
{
    board *one = context;
    promise(one->signed_well && size == one->signed_size && size && size <= ROOM && !one->on_trial);
    one->size = size;
    one->written = 0;
    one->finished = false;
    one->begun = !one->fails;
    return one->begun;
}

static bool write_flash(void *context, uint32_t offset, const uint8_t *bytes, size_t size)
{
    board *one = context;
    promise(one->begun && size && offset == one->written && size <= one->size - offset);
    if (one->fails) return false;
    memcpy(one->flash + offset, bytes, size);
    one->written += (uint32_t)size;
    return true;
}

static bool read_flash(void *context, uint32_t offset, uint8_t *bytes, size_t size)
{
    board *one = context;
    promise(offset + size <= one->written);
    memcpy(bytes, one->flash + offset, size);
    return true;
}

static earshot_update_reason finish(void *context)
{
    board *one = context;
    uint8_t digest[32];
    earshot_sha256 hash;
    earshot_sha256_begin(&hash);
    earshot_sha256_add(&hash, one->flash, one->size);
    earshot_sha256_end(&hash, digest);
    promise(one->begun && one->written == one->size && !memcmp(digest, one->sha256, 32));
    if (one->fails) return EARSHOT_U_BAD_IMAGE;
    one->finished = true;
    one->next = !one->running;
    one->on_trial = true;
    return EARSHOT_U_NONE;
}

static void start(void *context)
{
    board *one = context;
    promise(one->finished);
    one->restarting = true;
}

static void confirm(void *context)
{
    board *one = context;
    promise(one->welcomed);
    one->on_trial = false;
    one->next = one->running;
}

static void roll_back(void *context)
{
    board *one = context;
    one->next = !one->running;
    one->on_trial = false;
    one->restarting = !one->fails;
}

static bool load(void *context, earshot_update_memory *memory)
{
    board *one = context;
    *memory = one->memory;
    return one->has_memory;
}

static bool save(void *context, const earshot_update_memory *memory)
{
    board *one = context;
    if (one->fails) return false;
    one->memory = *memory;
    return one->has_memory = true;
}

static size_t write_all(void *context, const uint8_t *bytes, size_t size)
{
    (void)context;
    promise(bytes[0] == 1);
    return size;
}

static void hear(void *context, const earshot_frame *frame)
{
    board *one = context;
    one->welcomed = one->welcomed || frame->type == EARSHOT_T_WELCOME;
    earshot_update_hear(&one->update, frame);
}

/* -- power */

static void switch_on(board *one, bool reads)
{
    const earshot_config config = {.id = "kitchen",
                                   .boot = ++one->boots,
                                   .firmware = "1.0",
                                   .kind = "s3",
                                   .ring = one->ring,
                                   .ring_size = sizeof one->ring,
                                   .frame_size = FRAME,
                                   .takes_images = true,
                                   .port = {.context = one, .write = write_all, .hear = hear}};
    const earshot_update_config update = {.number = 1,
                                          .port = {.context = one,
                                                   .running = running,
                                                   .room = room,
                                                   .verify = verify,
                                                   .begin = begin,
                                                   .write = write_flash,
                                                   .read = reads ? read_flash : NULL,
                                                   .finish = finish,
                                                   .start = start,
                                                   .confirm = confirm,
                                                   .roll_back = roll_back,
                                                   .load = load,
                                                   .save = save}};
    const bool falls_back = one->on_trial && one->running == one->next; /* it was started once already */
    one->running = falls_back ? !one->next : one->next;
    if (falls_back) one->on_trial = false, one->next = one->running;
    one->begun = one->signed_well = one->finished = one->restarting = one->welcomed = false;
    promise(earshot_init(&one->device, &config) == EARSHOT_OK);
    earshot_update_init(&one->update, &one->device, &update, one->now);
    earshot_carrier_up(&one->device, EARSHOT_MESSAGES, one->now);
    earshot_poll(&one->device, one->now);
}

/* -- the gateway */

static void put32(uint8_t *at, uint32_t value)
{
    for (int byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(value >> 8 * byte & 255);
}

static void receive(board *one, uint8_t type, const uint8_t *payload, size_t size)
{
    uint8_t frame[EARSHOT_HEADER + 512] = {1};
    frame[1] = type;
    frame[3] = 7;
    if (type == EARSHOT_T_WELCOME) put32(frame + 16, one->now);
    memcpy(frame + EARSHOT_HEADER, payload, size);
    earshot_receive(&one->device, frame, EARSHOT_HEADER + size, one->now);
}

static void welcome(board *one)
{
    uint8_t payload[16] = {0};
    put32(payload, one->boots);
    put32(payload + 4, one->device.next);
    receive(one, EARSHOT_T_WELCOME, payload, sizeof payload);
}

static uint8_t byte_of(uint8_t seed, uint32_t at)
{
    return (uint8_t)((at * 7u + seed) >> 2);
}

static void image_hash(uint8_t seed, uint32_t size, uint8_t *digest)
{
    earshot_sha256 hash;
    earshot_sha256_begin(&hash);
    for (uint32_t at = 0; at < size; at++) {
        const uint8_t byte = byte_of(seed, at);
        earshot_sha256_add(&hash, &byte, 1);
    }
    earshot_sha256_end(&hash, digest);
}

/* An image of ours, by its seed; `bytes`: seed, size, number, whether the signature is good, whether the hash is, the
 * version. */
static void offer(board *one, const uint8_t *bytes, size_t size)
{
    uint8_t payload[104 + 64] = {0};
    uint8_t said[5] = {1, 9, 2, 1, 0};
    memcpy(said, bytes, size < 5 ? size : 5);
    one->seed = said[0] & 3;
    one->image_size = said[1] * 13u;
    put32(payload, one->image_size);
    put32(payload + 4, said[2] & 3);
    image_hash(one->seed, one->image_size, payload + 8);
    payload[8 + (said[4] & 31)] ^= said[4] >> 6 == 3;
    payload[103] = said[3];
    payload[104] = 'v';
    receive(one, EARSHOT_T_OFFER, payload, 105);
}

/* The next bytes of it, or others. */
static void image(board *one, const uint8_t *bytes, size_t size)
{
    uint8_t payload[8 + 255];
    const uint32_t offset = one->update.offset + (size > 1 ? (uint32_t)(int8_t)bytes[1] : 0u);
    const uint32_t length = size ? bytes[0] : 200;
    memcpy(payload, one->update.memory.image, 4);
    put32(payload + 4, offset);
    for (uint32_t at = 0; at < length; at++) payload[8 + at] = byte_of(one->seed, offset + at);
    if (size > 2) payload[8 + bytes[2] % 200] ^= 1;
    const uint32_t left = one->image_size > offset ? one->image_size - offset : 0;
    receive(one, EARSHOT_T_IMAGE, payload, 8 + (length > left && size < 4 ? left : length));
}

static void act_on(board *one, uint8_t act, const uint8_t *bytes, size_t size)
{
    static const uint16_t WAITS[8] = {0, 1, 100, 500, 2000, 10000, 30000, 60000};
    uint16_t stream = 0;
    switch (act & 15) {
    case 0:
    case 1:
    case 2:
    case 3: image(one, bytes, size); break;
    case 4:
    case 5: offer(one, bytes, size); break;
    case 6: welcome(one); break;
    case 7:
    case 8: one->now += WAITS[act >> 5]; break;
    case 9: receive(one, EARSHOT_T_IMAGE, bytes, size); break;
    case 10: receive(one, EARSHOT_T_OFFER, bytes, size); break;
    case 11:
        if (earshot_start(&one->device, false, &stream) == EARSHOT_OK && act & 16) earshot_stop(&one->device, stream);
        break;
    case 12: one->fails = act & 16; break;
    case 13: earshot_carrier_up(&one->device, EARSHOT_MESSAGES, one->now); break;
    case 14: switch_on(one, act & 16); break;
    default: break;
    }
    promise(earshot_update_poll(&one->update, one->now) <= 0x7fffffff);
    if (one->restarting) switch_on(one, act & 16);
    earshot_poll(&one->device, one->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    board *one = calloc(1, sizeof *one);
    if (!one) return 0;
    one->now = 0xfffff000u;
    switch_on(one, size & 1);
    for (size_t at = 0; at + 2 <= size;) {
        const size_t most = size - at - 2, length = data[at + 1] < most ? data[at + 1] : most;
        uint32_t of = 0;
        act_on(one, data[at], data + at + 2, length);
        promise(earshot_update_progress(&one->update, &of) <= of && of <= ROOM);
        at += 2 + length;
    }
    free(one);
    return 0;
}
