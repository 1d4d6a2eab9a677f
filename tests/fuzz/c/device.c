/* A device that hears anything, on a carrier that does anything, while its owner talks: whatever happens, what the
 * library keeps is in order, and all that it writes is frames.
 *
 * Input: a byte that says which device, then acts: what, how many bytes, and those. */
#include "promises.h"

#include "earshot.h"
#include "earshot_framing.h"
#include "earshot_proof.h"

enum { FRAME = 32, SLOTS_MOST = 9 };

typedef struct {
    earshot_device device;
    uint8_t ring[SLOTS_MOST * EARSHOT_SLOT(FRAME)];
    uint8_t line[4096];
    size_t line_size;
    size_t takes;
    uint32_t now;
    uint16_t stream;
    bool messages, nested;
} board;

static void check_block(const uint8_t *bytes, size_t size)
{
    uint8_t block[4096];
    const uint8_t *frame = NULL;
    memcpy(block, bytes, size);
    const size_t length = earshot_unstuff(block, size, &frame);
    promise(length >= EARSHOT_HEADER && frame[0] == 1);
}

/* What the carrier was given: whole frames, in whatever pieces. */
static size_t write_some(void *context, const uint8_t *bytes, size_t size)
{
    board *one = context;
    if (one->messages) {
        promise(size >= EARSHOT_HEADER && size <= EARSHOT_HEADER + EARSHOT_PAYLOAD && bytes[0] == 1);
        if (!one->takes) return 0;
        one->takes--;
        return size;
    }
    const size_t took = size < one->takes ? size : one->takes;
    one->takes -= took;
    for (size_t at = 0; at < took; at++) {
        if (bytes[at]) {
            promise(one->line_size < sizeof one->line);
            one->line[one->line_size++] = bytes[at];
        } else {
            if (one->line_size) check_block(one->line, one->line_size);
            one->line_size = 0;
        }
    }
    return took;
}

static void hear(void *context, const earshot_frame *frame)
{
    board *one = context;
    promise(frame->size <= EARSHOT_MTU);
    if (frame->id) promise((const uint8_t *)frame->id + frame->id_size <= frame->payload + frame->size);
    if (frame->text) promise((const uint8_t *)frame->text + frame->text_size == frame->payload + frame->size);
    if (frame->type == EARSHOT_T_REPLY) earshot_log(&one->device, 3, "heard");
    if (frame->type == EARSHOT_T_STATUS && earshot_start(&one->device, false, &one->stream) == EARSHOT_OK)
        earshot_stop(&one->device, one->stream);
}

static void check(const board *one)
{
    const earshot_device *d = &one->device;
    const uint32_t held = d->next - d->oldest;
    uint32_t again = 0;
    promise(held <= d->slots && d->acknowledged - d->oldest <= held && d->sent - d->oldest <= held &&
            d->acknowledged - d->oldest <= d->sent - d->oldest);
    promise(d->oldest_slot < d->slots && d->streams_open <= EARSHOT_STREAMS && d->waiting_count <= 3 * EARSHOT_STREAMS);
    for (uint32_t at = 0; at < d->slots; at++) again += d->config.ring[at * EARSHOT_SLOT(FRAME) + 2];
    promise(again == d->again);
    size_t outbox = 0;
    for (uint16_t at = 0; at < d->outbox_count; at++) outbox += 2u + d->outbox[outbox] + 256u * d->outbox[outbox + 1];
    promise(outbox == d->outbox_size && outbox <= EARSHOT_OUTBOX);
    promise(earshot_room(d) <= d->slots && earshot_unacknowledged(d) <= d->slots + 3u * EARSHOT_STREAMS);
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(value >> 8 * byte & 255);
}

static void receive_frame(board *one, const uint8_t *frame, size_t size)
{
    uint8_t stuffed[EARSHOT_STUFFED(600)];
    if (one->messages)
        earshot_receive(&one->device, frame, size, one->now);
    else
        earshot_receive(&one->device, stuffed, earshot_stuff(stuffed, frame, size), one->now);
}

/* A frame whose header is right as far as `act` says. */
static void hear_frame(board *one, uint8_t act, const uint8_t *bytes, size_t size)
{
    uint8_t frame[EARSHOT_HEADER + 256] = {1};
    const earshot_device *d = &one->device;
    memcpy(frame + 1, bytes, size);
    if (act & 0x80) frame[3] = d->link;
    if (act & 0x40) put32(frame + 8, d->expected + (frame[8] & 3u));
    if (act & 0x20) put32(frame + 12, d->acknowledged + (frame[12] & 7u));
    receive_frame(one, frame, size < EARSHOT_HEADER ? EARSHOT_HEADER : size + 1);
}

static void welcome(board *one, const uint8_t *bytes, size_t size)
{
    uint8_t frame[EARSHOT_HEADER + 16] = {1, EARSHOT_T_WELCOME, 0, 7};
    const earshot_device *d = &one->device;
    frame[6] = size ? bytes[0] : 16;
    put32(frame + 16, d->greeting_since);
    put32(frame + 20, d->boot);
    put32(frame + 24, d->next - (size > 1 ? bytes[1] : 0));
    put32(frame + 28, d->expected + (size > 2 ? 4u * bytes[2] : 0));
    receive_frame(one, frame, sizeof frame);
}

static void talk(board *one, uint8_t act, const uint8_t *bytes, size_t size)
{
    if (act & 0x10) earshot_start(&one->device, act & 0x20, &one->stream);
    earshot_audio(&one->device, one->stream, (earshot_codec)(act >> 6), bytes, size, (uint32_t)size / 2);
    if (act & 0x80) earshot_stop(&one->device, one->stream);
}

static void say(board *one, uint8_t act, const uint8_t *bytes, size_t size)
{
    char text[256];
    memcpy(text, bytes, size);
    text[size] = 0;
    if (act & 0x10) earshot_notify(&one->device, EARSHOT_LEVEL, -42, text, one->stream);
    if (act & 0x20) earshot_log(&one->device, act >> 6, text);
    if (act & 0x40) earshot_say(&one->device, EARSHOT_T_UPDATE, bytes, size);
}

static void plug(board *one, uint8_t act)
{
    one->messages = act & 0x10;
    one->line_size = 0;
    earshot_carrier_up(&one->device, one->messages ? EARSHOT_MESSAGES : EARSHOT_SERIAL, one->now);
}

static void act_on(board *one, uint8_t act, const uint8_t *bytes, size_t size)
{
    static const uint16_t WAITS[16] = {0,    1,    40,   100,   249,   250,   251,  1000,
                                       1600, 4000, 5000, 10000, 15000, 15001, 8000, 60000};
    switch (act & 15) {
    case 0:
    case 1:
    case 2: hear_frame(one, act, bytes, size); break;
    case 3: earshot_receive(&one->device, bytes, size, one->now); break;
    case 4: welcome(one, bytes, size); break;
    case 5:
    case 6: one->now += WAITS[act >> 4]; break;
    case 7:
    case 8: talk(one, act, bytes, size); break;
    case 9: say(one, act, bytes, size); break;
    case 10: plug(one, act); break;
    case 11: earshot_carrier_lost(&one->device); break;
    default: one->takes = act >= 0x80 ? SIZE_MAX : (size_t)(act >> 4) * 9u;
    }
    if (act & 4 || size != 1)
        promise(earshot_poll(&one->device, one->now) <= 15000 || earshot_where(&one->device) == EARSHOT_OFFLINE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t KEY[EARSHOT_KEY] = {1, 2, 3};
    board *one = calloc(1, sizeof *one);
    if (!one || !size) return free(one), 0;
    const uint8_t which = data[0];
    const earshot_config config = {.id = "kitchen",
                                   .boot = 7,
                                   .firmware = which & 1 ? "demo 1.0" : NULL,
                                   .kind = which & 2 ? "s3" : NULL,
                                   .ring = one->ring,
                                   .ring_size = (4u + which / 4 % 6) * EARSHOT_SLOT(FRAME),
                                   .frame_size = FRAME,
                                   .wants_pieces = which & 1,
                                   .key = which & 128 ? KEY : NULL,
                                   .prove = earshot_prove,
                                   .first_sequence = which & 64 ? 0xfffffff8u : 0,
                                   .port = {.context = one, .write = write_some, .hear = hear}};
    promise(earshot_init(&one->device, &config) == EARSHOT_OK);
    one->takes = SIZE_MAX;
    one->now = which & 32 ? 0xffffff00u : 1000;
    for (size_t at = 1; at + 2 <= size;) {
        const size_t most = size - at - 2, length = data[at + 1] < most ? data[at + 1] : most;
        act_on(one, data[at], data + at + 2, length);
        check(one);
        at += 2 + length;
    }
    free(one);
    return 0;
}
