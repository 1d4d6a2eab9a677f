/* A device of the C library as tests hold it: its port keeps what is written and what is heard, until it is asked for.
 *
 * A jig begins with its device: where earshot.h wants a device, the address of a jig does. */
#include <stdlib.h>

#include "earshot.h"
#include "earshot_proof.h"
#include "earshot_texts.h"

typedef struct {
    uint8_t *bytes;
    size_t size, room;
} pile;

typedef struct {
    earshot_device device;
    bool messages;
    uint8_t *ring;
    pile out;    /* serial: bytes; messages: each behind its u32 size */
    pile heard;  /* each frame: u32 size of its payload, type, flags, u16 stream, u32 timestamp, code, anew, u16 stable,
                    id, text, payload */
    size_t each; /* the carrier takes so many bytes at a time, */
    size_t left; /* and so many in all */
    void (*inside)(void); /* what the owner does whenever it hears; NULL: nothing */
} jig;

static void pile_up(pile *one, const void *bytes, size_t size)
{
    if (one->size + size > one->room) {
        one->room = 2 * (one->size + size);
        one->bytes = realloc(one->bytes, one->room);
        if (!one->bytes) abort();
    }
    if (size) memcpy(one->bytes + one->size, bytes, size);
    one->size += size;
}

static void pile_up_number(pile *one, uint32_t number)
{
    pile_up(one, &number, sizeof number);
}

static size_t write_some(void *context, const uint8_t *bytes, size_t size)
{
    jig *one = context;
    size_t took = size < one->each ? size : one->each;
    if (took > one->left) took = one->left;
    if (one->messages && took < size) return 0;
    one->left -= took;
    if (one->messages) pile_up_number(&one->out, (uint32_t)took);
    pile_up(&one->out, bytes, took);
    return took;
}

static void hear(void *context, const earshot_frame *frame)
{
    jig *one = context;
    pile_up_number(&one->heard, frame->size);
    pile_up_number(&one->heard, frame->type | (uint32_t)frame->flags << 8 | (uint32_t)frame->stream << 16);
    pile_up_number(&one->heard, frame->timestamp);
    pile_up_number(&one->heard, frame->code | (uint32_t)frame->anew << 8 | (uint32_t)frame->stable << 16);
    pile_up_number(&one->heard, frame->id ? frame->id_size : UINT32_MAX);
    pile_up_number(&one->heard, frame->text ? frame->text_size : UINT32_MAX);
    pile_up(&one->heard, frame->payload, frame->size);
    if (frame->id) pile_up(&one->heard, frame->id, frame->id_size);
    if (frame->text) pile_up(&one->heard, frame->text, frame->text_size);
    if (one->inside) one->inside();
}

/* NULL: earshot_init refuses. The texts and the key must outlive the jig; `wants`: 1 partials, 2 pieces, 4 images. */
void *jig_new(const char *id, uint32_t boot, const char *firmware, const char *kind, const uint8_t *key, uint32_t slots,
              uint16_t frame_size, uint32_t wants, uint32_t first_sequence)
{
    jig *one = calloc(1, sizeof *one);
    if (!one) abort();
    const size_t ring_size = (size_t)slots * EARSHOT_SLOT((size_t)frame_size);
    one->ring = malloc(ring_size);
    memset(one->ring, 0xa5, ring_size); /* what stood there before is nobody's business */
    one->each = one->left = SIZE_MAX;
    const earshot_config config = {.id = id,
                                   .boot = boot,
                                   .firmware = firmware,
                                   .kind = kind,
                                   .ring = one->ring,
                                   .ring_size = ring_size,
                                   .frame_size = frame_size,
                                   .wants_partials = wants & 1,
                                   .wants_pieces = wants >> 1 & 1,
                                   .takes_images = wants >> 2 & 1,
                                   .key = key,
                                   .prove = key ? earshot_prove : NULL,
                                   .first_sequence = first_sequence,
                                   .port = {.context = one, .write = write_some, .hear = hear}};
    if (earshot_init(&one->device, &config) == EARSHOT_OK) return one;
    free(one->ring);
    free(one);
    return NULL;
}

void jig_free(jig *one)
{
    free(one->ring);
    free(one->out.bytes);
    free(one->heard.bytes);
    free(one);
}

void jig_up(jig *one, bool messages, uint32_t now)
{
    one->messages = messages;
    earshot_carrier_up(&one->device, messages ? EARSHOT_MESSAGES : EARSHOT_SERIAL, now);
}

void jig_let(jig *one, size_t each, size_t left)
{
    one->each = each;
    one->left = left;
}

void jig_inside(jig *one, void (*inside)(void))
{
    one->inside = inside;
}

/* What was written, or heard, since it was asked for last; holds until more is. */
const uint8_t *jig_written(jig *one, size_t *size)
{
    *size = one->out.size;
    one->out.size = 0;
    return one->out.bytes;
}

const uint8_t *jig_heard(jig *one, size_t *size)
{
    *size = one->heard.size;
    one->heard.size = 0;
    return one->heard.bytes;
}

/* What earshot_init says to a configuration without its id (0), its ring (1), its write (2), its prove beside a key
 * (3), or with all (4). */
int jig_init_without(int what)
{
    static earshot_device device;
    static uint8_t ring[4 * EARSHOT_SLOT(16)];
    const earshot_config config = {.id = what == 0 ? NULL : "kitchen",
                                   .ring = what == 1 ? NULL : ring,
                                   .ring_size = sizeof ring,
                                   .frame_size = 16,
                                   .key = ring,
                                   .prove = what == 3 ? NULL : earshot_prove,
                                   .port = {.write = what == 2 ? NULL : write_some}};
    return earshot_init(&device, &config);
}

size_t jig_device_size(void)
{
    return sizeof(earshot_device);
}

typedef struct {
    earshot_texts texts;
    earshot_text entries[8];
    char *buffer;
} board;

/* What a board with room for 8 texts of `capacity` bytes shows of replies. */
void *jig_board(size_t capacity, bool wants_pieces)
{
    board *one = calloc(1, sizeof *one);
    if (!one) abort();
    one->buffer = calloc(8, capacity);
    one->texts.texts = one->entries;
    one->texts.count = 8;
    one->texts.wants_pieces = wants_pieces;
    for (size_t at = 0; at < 8; at++) {
        one->entries[at].buffer = one->buffer + at * capacity;
        one->entries[at].capacity = capacity;
    }
    return one;
}

void jig_board_free(board *one)
{
    free(one->buffer);
    free(one);
}

const char *jig_show(board *one, uint8_t flags, const char *id, uint8_t id_size, const char *text, uint16_t text_size)
{
    earshot_frame frame = {
        .type = EARSHOT_T_REPLY, .flags = flags, .id = id, .id_size = id_size, .text = text, .text_size = text_size};
    return earshot_texts_take(&one->texts, &frame);
}

void jig_wipe(board *one)
{
    earshot_texts_forget(&one->texts);
}
