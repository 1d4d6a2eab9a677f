#include "earshot.h"

#include "earshot_framing.h"

/* docs/protocol.md, 4.7; in milliseconds */
enum {
    ACK_DELAY = 40,
    ACK_FRAMES = 16,
    ASK_AGAIN = 100,
    ASK_AGAIN_MAX = 1600,
    RESEND = 250,
    RESEND_MAX = 4000,
    HELLO_AGAIN = 250,
    HELLO_AGAIN_MAX = 8000,
    ANSWERED_WITHIN = 60000,
    REFUSED_PAUSE = 10000,
    STOPPED_PAUSE = 1000,
    PING_IDLE = 5000,
    PING_BLOCKED = 1000,
    UNHEARD = 15000,
    DOWN_RING = 256,
    MAX_BEST_EFFORT = 16,
    MAX_RANGES = 16
};
enum { VERSION = 1, RESENT = 1, END_ON_SILENCE = 2, WANTS_PARTIALS = 2, WANTS_PIECES = 4, TAKES_IMAGES = 8 };
enum {
    TYPE = 1,
    FLAGS = 2,
    LINK = 3,
    STREAM = 4,
    CREDIT = 6,
    SEQUENCE = 8,
    ACKNOWLEDGE = 12,
    TIMESTAMP = 16,
    HEADER = EARSHOT_HEADER
};
enum { SLOT_SIZE = 0, SLOT_AGAIN = 2, SLOT_FRAME = 4 }; /* a slot: u16 size, u8 whether to be sent again, the frame */

typedef char credit_is_possible[EARSHOT_CREDIT >= 1 && EARSHOT_CREDIT <= DOWN_RING ? 1 : -1];
typedef char mtu_is_possible[EARSHOT_MTU >= 64 && EARSHOT_MTU <= EARSHOT_PAYLOAD ? 1 : -1];
typedef char outbox_is_possible[EARSHOT_OUTBOX >= 64 && EARSHOT_OUTBOX <= 32768 ? 1 : -1];

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value & 255);
    at[1] = (uint8_t)(value >> 8 & 255);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value);
    put16(at + 2, value >> 16);
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) | (uint32_t)get16(at + 2) << 16;
}

/* How far `end` lies after `start` (negative: before); sequence numbers, positions and times wrap. */
static int32_t distance(uint32_t start, uint32_t end)
{
    return (int32_t)(end - start);
}

static bool has_come(uint32_t now, uint32_t when)
{
    return distance(when, now) >= 0;
}

/* -- the ring (4.3, 4.5) */

static uint32_t stride(const earshot_device *device)
{
    return EARSHOT_SLOT((uint32_t)device->config.frame_size);
}

/* Frames lie in slots one after the other. `number % slots` would jump where numbers wrap, so slots are counted from
 * the oldest. */
static uint8_t *slot(const earshot_device *device, uint32_t number)
{
    return device->config.ring + (device->oldest_slot + (number - device->oldest)) % device->slots * stride(device);
}

static int32_t ring_room(const earshot_device *device)
{
    return (int32_t)device->slots - distance(device->acknowledged, device->next);
}

static bool is_blocked(const earshot_device *device)
{
    return device->sent != device->next && distance(device->sent, device->edge) <= 0;
}

static void mark_again(earshot_device *device, uint32_t number, bool again)
{
    uint8_t *mark = slot(device, number) + SLOT_AGAIN;
    if (*mark == again) return;
    *mark = again;
    device->again += again ? 1u : (uint32_t)-1;
}

static void forget_requests(earshot_device *device)
{
    for (uint32_t number = device->oldest; device->again; number++) mark_again(device, number, false);
}

/* Drops what lies before `before`, as far as it is acknowledged. */
static void forget(earshot_device *device, uint32_t before)
{
    int32_t until = distance(device->oldest, before), most = distance(device->oldest, device->acknowledged);
    for (; until > 0 && most > 0; until--, most--) {
        mark_again(device, device->oldest, false);
        device->oldest++;
        device->oldest_slot = (device->oldest_slot + 1) % device->slots;
    }
}

/* The slot that the next frame goes into, or NULL. If full, the oldest acknowledged frame is overwritten. */
static uint8_t *next_slot(earshot_device *device)
{
    if (ring_room(device) <= 0) return NULL;
    uint8_t *place = slot(device, device->next);
    if (device->out == place + SLOT_FRAME) return NULL; /* it is half written */
    if ((uint32_t)distance(device->oldest, device->next) >= device->slots) forget(device, device->oldest + 1);
    return place;
}

static void head(uint8_t *frame, uint8_t type, uint8_t flags, uint16_t stream, uint32_t timestamp)
{
    memset(frame, 0, HEADER);
    frame[0] = VERSION;
    frame[TYPE] = type;
    frame[FLAGS] = flags;
    put16(frame + STREAM, stream);
    put32(frame + TIMESTAMP, timestamp);
}

/* Numbers a frame and keeps it. False: there is no room. */
static bool append(earshot_device *device, uint8_t type, uint8_t flags, uint16_t stream, uint32_t timestamp,
                   const void *payload, size_t size)
{
    uint8_t *place = next_slot(device);
    if (!place) return false;
    put16(place + SLOT_SIZE, (uint32_t)(HEADER + size));
    place[SLOT_AGAIN] = 0;
    head(place + SLOT_FRAME, type, flags, stream, timestamp);
    put32(place + SLOT_FRAME + SEQUENCE, device->next++);
    if (size) memcpy(place + SLOT_FRAME + HEADER, payload, size);
    return true;
}

/* Starts and stops that waited go first. */
static void flush(earshot_device *device)
{
    uint8_t done = 0;
    while (done < device->waiting_count &&
           append(device, device->waiting[done].type, device->waiting[done].flags, device->waiting[done].stream,
                  device->waiting[done].position, NULL, 0))
        done++;
    if (!done) return;
    device->waiting_count = (uint8_t)(device->waiting_count - done);
    memmove(device->waiting, device->waiting + done, device->waiting_count * sizeof device->waiting[0]);
}

static void wait_for_room(earshot_device *device, uint8_t type, uint8_t flags, uint16_t stream, uint32_t position)
{
    const uint8_t at = device->waiting_count++;
    device->waiting[at].type = type;
    device->waiting[at].flags = flags;
    device->waiting[at].stream = stream;
    device->waiting[at].position = position;
    flush(device);
}

static bool append_or_overrun(earshot_device *device, uint8_t type, uint8_t flags, uint16_t stream, uint32_t timestamp,
                              const void *payload, size_t size)
{
    flush(device);
    if (!device->waiting_count && append(device, type, flags, stream, timestamp, payload, size)) return true;
    device->counters.overrun_frames++;
    return false;
}

/* The gateway has all before `acknowledged` and takes `credit` more. What is older than known is ignored. */
static void acknowledged(earshot_device *device, uint32_t acknowledged, uint16_t credit)
{
    const int32_t progress = distance(device->acknowledged, acknowledged);
    if (progress < 0 || progress > distance(device->acknowledged, device->highest_sent)) return;
    device->edge = acknowledged + credit;
    if (!progress) return;
    device->acknowledged = acknowledged;
    if (distance(device->sent, acknowledged) > 0)
        device->sent = acknowledged; /* rewound too far: it has arrived since */
    device->resend_patience = RESEND;
    device->resend_at = device->now + RESEND;
    device->resend_due = acknowledged != device->sent;
}

static void pause_sending(earshot_device *device)
{
    device->edge = device->sent;
    device->resend_due = false;
    forget_requests(device);
}

static void rewind_to(earshot_device *device, uint32_t resume_from, uint16_t credit)
{
    const uint32_t start = distance(device->oldest, resume_from) > 0 ? resume_from : device->oldest;
    device->acknowledged = device->sent = start;
    device->edge = start + credit;
    device->resend_due = false;
    device->resend_patience = RESEND;
    forget_requests(device);
}

/* The gateway misses these. False: some of it is no longer kept. */
static bool request(earshot_device *device, uint32_t first, uint32_t last)
{
    const int32_t behind = distance(device->oldest, first), held = distance(device->oldest, device->sent);
    int32_t stop = distance(device->oldest, last);
    if (stop >= held) stop = held - 1;
    for (int32_t step = behind > 0 ? behind : 0; step <= stop; step++)
        mark_again(device, device->oldest + (uint32_t)step, true);
    return behind >= 0;
}

/* -- what comes down, in order (4.3). What is early is dropped and asked for again: that takes no memory. */

static void acknowledge_by(earshot_device *device, uint32_t when)
{
    if (!device->ack_due || distance(when, device->ack_at) > 0) device->ack_at = when;
    device->ack_due = true;
}

static void expect(earshot_device *device, uint32_t number)
{
    device->expected = device->highest = number;
    device->asked = device->unanswered = 0;
    device->ack_due = device->ask_due = false;
}

static void found_early(earshot_device *device, uint32_t number)
{
    device->counters.early++;
    if (!device->ask_due) {
        device->ask_due = true;
        device->ask_at = device->now;
        device->highest = number;
    }
    if (distance(device->highest, number) > 0) device->highest = number;
}

static void found_next(earshot_device *device)
{
    device->expected++;
    device->asked = 0;
    if (!device->ask_due) return;
    if (distance(device->expected, device->highest) < 0) {
        device->ask_due = false;
    } else if (distance(device->now + ASK_AGAIN, device->ask_at) > 0) {
        device->ask_at = device->now + ASK_AGAIN;
    }
}

/* Whether this is the frame whose turn it is. */
static bool is_next(earshot_device *device, uint32_t number)
{
    acknowledge_by(device, device->now + (++device->unanswered >= ACK_FRAMES ? 0u : (uint32_t)ACK_DELAY));
    const int32_t ahead = distance(device->expected, number);
    if (!ahead) {
        found_next(device);
        return true;
    }
    if (ahead < 0)
        device->counters.duplicates++;
    else if (ahead < DOWN_RING)
        found_early(device, number);
    return false;
}

static bool is_time_to_ask(earshot_device *device)
{
    if (!device->ask_due || !has_come(device->now, device->ask_at)) return false;
    const uint32_t wait = (uint32_t)ASK_AGAIN << (device->asked < 8 ? device->asked : 8);
    device->ask_at = device->now + (wait < ASK_AGAIN_MAX ? wait : ASK_AGAIN_MAX);
    device->asked++;
    return true;
}

/* -- what was had already (4.1): 64-bit FNV-1a of the last correlation ids */

static uint64_t hashed(const uint8_t *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    while (size--) hash = (hash ^ *bytes++) * UINT64_C(0x100000001b3);
    return hash;
}

static bool was_had(earshot_device *device, const earshot_frame *frame)
{
    const bool reply = frame->type == EARSHOT_T_REPLY;
    uint64_t *ids = reply ? device->replies : device->transcripts;
    uint32_t *had = reply ? &device->replies_had : &device->transcripts_had;
    const uint64_t id = hashed((const uint8_t *)frame->id, frame->id_size);
    const uint32_t known = *had < EARSHOT_REMEMBERED ? *had : EARSHOT_REMEMBERED;
    for (uint32_t at = 0; at < known; at++) {
        if (ids[at] != id) continue;
        device->counters.repeated++;
        return true;
    }
    if (!reply || frame->flags & EARSHOT_FINAL) {
        ids[*had % EARSHOT_REMEMBERED] = id;
        *had = *had + 1 == 2 * EARSHOT_REMEMBERED ? EARSHOT_REMEMBERED : *had + 1; /* never wraps to "few" */
    }
    return false;
}

/* -- greeting (4.1) */

static void greet(earshot_device *device)
{
    device->state = EARSHOT_GREETING;
    pause_sending(device);
    device->hello_at = device->now;
    device->patience = HELLO_AGAIN;
    device->greeting_since = device->now;
}

static uint8_t *write_text(uint8_t *at, const char *text)
{
    while (*text) *at++ = (uint8_t)*text++;
    return at;
}

static uint8_t *write_number(uint8_t *at, uint32_t value)
{
    char digits[11];
    size_t count = sizeof digits;
    digits[--count] = 0;
    do digits[--count] = (char)('0' + value % 10);
    while (value /= 10);
    return write_text(at, digits + count);
}

/* A text with a number in the place of each '#'. */
static uint8_t *write_numbers(uint8_t *at, const char *text, const uint32_t *numbers)
{
    for (; *text; text++) {
        if (*text == '#')
            at = write_number(at, *numbers++);
        else
            *at++ = (uint8_t)*text;
    }
    return at;
}

static uint8_t *write_proof(uint8_t *at, const uint8_t *proof)
{
    static const char HEX[] = "0123456789abcdef";
    at = write_text(at, ",\"proof\":\"");
    for (size_t byte = 0; byte < 32; byte++) {
        *at++ = (uint8_t)HEX[proof[byte] >> 4];
        *at++ = (uint8_t)HEX[proof[byte] & 15];
    }
    return write_text(at, "\"");
}

static size_t write_hello(earshot_device *device)
{
    const earshot_config *config = &device->config;
    const unsigned flags = (config->wants_partials ? (unsigned)WANTS_PARTIALS : 0u) |
                           (config->wants_pieces ? (unsigned)WANTS_PIECES : 0u) |
                           (config->takes_images ? (unsigned)TAKES_IMAGES : 0u);
    head(device->control, EARSHOT_T_HELLO, (uint8_t)flags, 0, device->now);
    uint8_t *at = device->control + HEADER;
    const uint32_t numbers[] = {device->boot,   device->slots,   device->next,
                                device->oldest, device->durable, EARSHOT_MTU};
    at = write_text(write_text(at, "{\"id\":\""), config->id);
    at = write_numbers(at, "\",\"boot\":#,\"fw\":\"", numbers);
    at = write_text(at, config->firmware ? config->firmware : "");
    at = write_numbers(at, "\",\"ring\":#,\"next\":#,\"oldest\":#,\"durable\":#,\"mtu\":#", numbers + 1);
    if (config->kind && *config->kind) at = write_text(write_text(write_text(at, ",\"kind\":\""), config->kind), "\"");
    if (device->proven) at = write_proof(at, device->proof);
    device->proven = false;
    at = write_text(at, "}");
    return (size_t)(at - device->control);
}

static uint32_t another_boot(const earshot_device *device)
{
    return (device->boot ^ device->now * 2654435761u) * 1664525u + 1013904223u;
}

static void tell(earshot_device *device, const earshot_frame *frame)
{
    if (device->config.port.hear) device->config.port.hear(device->config.port.context, frame);
}

/* Whether what answers a HELLO answers ours. */
static bool is_ours(const earshot_device *device, const earshot_frame *frame)
{
    return device->state == EARSHOT_GREETING && get32(frame->payload) == device->boot &&
           distance(device->greeting_since, frame->timestamp) >= 0;
}

static void welcomed(earshot_device *device, const uint8_t *bytes, earshot_frame *frame)
{
    if (!is_ours(device, frame)) {
        device->counters.ignored++;
        return;
    }
    const uint32_t resume_from = get32(frame->payload + 4), down_next = get32(frame->payload + 8);
    if (distance(resume_from, device->next) < 0) { /* this boot number was drawn before, by an earlier life */
        device->boot = another_boot(device);
        device->hello_at = device->now;
        return;
    }
    const int32_t behind = distance(down_next, device->expected);
    const bool is_another = behind < 0 || behind > DOWN_RING;
    frame->anew = is_another || device->link != bytes[LINK];
    device->state = EARSHOT_LINKED;
    device->link = bytes[LINK];
    device->heard_at = device->sent_at = device->now;
    rewind_to(device, resume_from, get16(bytes + CREDIT));
    if (is_another) expect(device, down_next);
    flush(device);
    tell(device, frame);
}

/* Says HELLO again, at once, with the proof. Without a key there is nothing better to say. */
static void challenged(earshot_device *device, const earshot_frame *frame)
{
    uint8_t message[16 + 4 + EARSHOT_TEXT];
    const earshot_config *config = &device->config;
    if (!is_ours(device, frame) || !config->key) {
        device->counters.ignored++;
        return;
    }
    const size_t id_size = strlen(config->id);
    memcpy(message, frame->payload + 4, 16);
    put32(message + 16, device->boot);
    memcpy(message + 20, config->id, id_size);
    config->prove(config->key, message, 20 + id_size, device->proof);
    device->proven = true;
    device->hello_at = device->now;
}

static bool refuses(uint8_t code)
{
    return code == EARSHOT_F_UNSUPPORTED_VERSION || code == EARSHOT_F_DUPLICATE_ID || code == EARSHOT_F_BAD_ID ||
           code == EARSHOT_F_REFUSED || code == EARSHOT_F_SHUTTING_DOWN;
}

/* Only what answers this device counts: its link, or while greeting its boot. */
static void faulted(earshot_device *device, uint8_t link, const earshot_frame *frame)
{
    const bool linked = device->state == EARSHOT_LINKED && link == device->link;
    const bool greeting =
        device->state == EARSHOT_GREETING && !link && (frame->timestamp == device->boot || !frame->timestamp);
    if (!linked && !greeting) {
        device->counters.ignored++;
        return;
    }
    if (frame->code == EARSHOT_F_SAY_HELLO && linked) {
        greet(device);
    } else if (refuses(frame->code)) {
        device->state = EARSHOT_REFUSED;
        pause_sending(device);
        device->hello_at =
            device->now + (frame->code == EARSHOT_F_SHUTTING_DOWN ? (uint32_t)STOPPED_PAUSE : (uint32_t)REFUSED_PAUSE);
    }
    tell(device, frame);
}

/* -- frames that arrive */

static bool is_numbered_down(uint8_t type)
{
    return type >= 0x20 && type <= 0x2f && type != EARSHOT_T_PARTIAL;
}

static bool is_ascii(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at++)
        if (bytes[at] > 127) return false;
    return true;
}

static void take_text(earshot_frame *frame, uint32_t from)
{
    frame->text = (const char *)frame->payload + from;
    frame->text_size = (uint16_t)(frame->size - from);
}

/* Reads what a TRANSCRIPT or a REPLY holds. */
static bool take_labelled(earshot_frame *frame)
{
    if (frame->size < 1 + frame->payload[0] || !is_ascii(frame->payload + 1, frame->payload[0])) return false;
    frame->id = (const char *)frame->payload + 1;
    frame->id_size = frame->payload[0];
    take_text(frame, 1u + frame->id_size);
    return true;
}

/* The least bytes of payload by type. */
static const uint8_t LEAST[EARSHOT_T_FAULT + 1] = {
    [EARSHOT_T_WELCOME] = 16, [EARSHOT_T_CHALLENGE] = 20, [EARSHOT_T_OFFER] = 104,    [EARSHOT_T_IMAGE] = 8,
    [EARSHOT_T_STATUS] = 1,   [EARSHOT_T_PARTIAL] = 2,    [EARSHOT_T_TRANSCRIPT] = 1, [EARSHOT_T_REPLY] = 1,
    [EARSHOT_T_ACK] = 5,      [EARSHOT_T_FAULT] = 2,
};

/* Reads the payload. False: it is malformed, which is no worse than a type that is not known: its number counts, and
 * nobody is told. */
static bool understood(earshot_frame *frame)
{
    const uint8_t *payload = frame->payload;
    if (frame->type < sizeof LEAST && frame->size < LEAST[frame->type]) return false;
    switch (frame->type) {
    case EARSHOT_T_STATUS: frame->code = payload[0]; return payload[0] <= EARSHOT_ERROR;
    case EARSHOT_T_FAULT:
        frame->code = payload[0];
        take_text(frame, 2);
        return payload[0] >= EARSHOT_F_SAY_HELLO && payload[0] <= EARSHOT_F_SHUTTING_DOWN;
    case EARSHOT_T_PARTIAL:
        frame->stable = get16(payload);
        take_text(frame, 2);
        return true;
    case EARSHOT_T_TRANSCRIPT:
    case EARSHOT_T_REPLY: return take_labelled(frame);
    case EARSHOT_T_ACK: return payload[4] <= MAX_RANGES && frame->size >= 5u + 8u * payload[4];
    default: return true;
    }
}

static void take_ack(earshot_device *device, const uint8_t *payload)
{
    const uint32_t durable = get32(payload);
    bool kept = true;
    if (distance(device->durable, durable) > 0) {
        device->durable = durable;
        forget(device, durable);
    }
    for (size_t at = 0; at < payload[4]; at++)
        kept = request(device, get32(payload + 5 + 8 * at), get32(payload + 9 + 8 * at)) && kept;
    if (!kept) acknowledge_by(device, device->now); /* the ACK says what is still held */
}

static bool enqueue(earshot_device *device, uint8_t type, uint16_t stream, uint32_t timestamp, const void *payload,
                    size_t size)
{
    const size_t whole = 2 + HEADER + size;
    if (whole > sizeof device->outbox - device->outbox_size || device->outbox_count >= MAX_BEST_EFFORT) {
        device->counters.dropped++;
        return false;
    }
    uint8_t *at = device->outbox + device->outbox_size;
    put16(at, (uint32_t)(HEADER + size));
    head(at + 2, type, 0, stream, timestamp);
    if (size) memcpy(at + 2 + HEADER, payload, size);
    device->outbox_size = (uint16_t)(device->outbox_size + whole);
    device->outbox_count++;
    return true;
}

static void take_numbered(earshot_device *device, uint32_t number, const earshot_frame *frame, bool good)
{
    if (!is_next(device, number)) return;
    device->counters.received++;
    if (!good) return;
    if ((frame->type == EARSHOT_T_TRANSCRIPT || frame->type == EARSHOT_T_REPLY) && was_had(device, frame)) return;
    tell(device, frame);
}

/* A frame of our link. */
static void take_linked(earshot_device *device, const uint8_t *bytes, const earshot_frame *frame, bool good)
{
    device->heard_at = device->now;
    acknowledged(device, get32(bytes + ACKNOWLEDGE), get16(bytes + CREDIT));
    flush(device);
    if (is_numbered_down(frame->type))
        take_numbered(device, get32(bytes + SEQUENCE), frame, good);
    else if (!good)
        return;
    else if (frame->type == EARSHOT_T_ACK)
        take_ack(device, frame->payload);
    else if (frame->type == EARSHOT_T_PING)
        enqueue(device, EARSHOT_T_PONG, frame->stream, frame->timestamp, NULL, 0);
    else if (frame->type == EARSHOT_T_PARTIAL || frame->type == EARSHOT_T_OFFER || frame->type == EARSHOT_T_IMAGE)
        tell(device, frame);
}

/* A frame's bytes, header and payload. */
static void take(earshot_device *device, const uint8_t *bytes, size_t size)
{
    if (size < HEADER || bytes[0] != VERSION) {
        device->counters.broken++;
        return;
    }
    earshot_frame frame = {.type = bytes[TYPE],
                           .flags = bytes[FLAGS],
                           .stream = get16(bytes + STREAM),
                           .timestamp = get32(bytes + TIMESTAMP),
                           .payload = bytes + HEADER,
                           .size = (uint16_t)(size - HEADER)};
    const bool good = size <= HEADER + EARSHOT_MTU && understood(&frame);
    if (good && frame.type == EARSHOT_T_WELCOME)
        welcomed(device, bytes, &frame);
    else if (good && frame.type == EARSHOT_T_CHALLENGE)
        challenged(device, &frame);
    else if (good && frame.type == EARSHOT_T_FAULT)
        faulted(device, bytes[LINK], &frame);
    else if (device->state == EARSHOT_LINKED && bytes[LINK] == device->link)
        take_linked(device, bytes, &frame, good);
    else
        device->counters.ignored++;
}

static void end_of_block(earshot_device *device)
{
    const uint8_t *frame;
    if (device->block_size && !device->block_lost) {
        const size_t size = earshot_unstuff(device->block, device->block_size, &frame);
        if (size)
            take(device, frame, size);
        else
            device->counters.broken++;
    } else if (device->block_lost) {
        device->counters.broken++;
    }
    device->block_size = 0;
    device->block_lost = false;
}

void earshot_receive(earshot_device *device, const uint8_t *bytes, size_t size, uint32_t now)
{
    device->now = now;
    if (device->state == EARSHOT_OFFLINE) return;
    if (device->carrier == EARSHOT_MESSAGES) {
        take(device, bytes, size);
        return;
    }
    for (size_t at = 0; at < size; at++) {
        if (!bytes[at])
            end_of_block(device);
        else if (device->block_size == sizeof device->block)
            device->block_lost = true;
        else
            device->block[device->block_size++] = bytes[at];
    }
}

/* -- frames that go out */

/* A frame is next on the carrier: what all frames tell is filled in, and with it everything is acknowledged. */
static void send(earshot_device *device, uint8_t *frame, size_t size)
{
    frame[LINK] = device->state == EARSHOT_LINKED ? device->link : 0;
    put16(frame + CREDIT, EARSHOT_CREDIT);
    put32(frame + ACKNOWLEDGE, device->expected);
    device->out = frame;
    device->out_size = (uint16_t)size;
    device->out_at = device->piece_size = device->piece_at = 0;
    if (device->carrier == EARSHOT_SERIAL) device->out_crc = earshot_crc32(0, frame, size);
    if (device->state != EARSHOT_LINKED) return;
    device->sent_at = device->now;
    device->ack_due = false;
    device->unanswered = 0;
}

static void sent_whole(earshot_device *device)
{
    if (device->out == device->outbox + 2) {
        const size_t whole = 2u + get16(device->outbox);
        device->outbox_size = (uint16_t)(device->outbox_size - whole);
        device->outbox_count--;
        memmove(device->outbox, device->outbox + whole, device->outbox_size);
    }
    device->out = NULL;
}

static size_t write_out(earshot_device *device, const uint8_t *bytes, size_t size)
{
    const size_t took = device->config.port.write(device->config.port.context, bytes, size);
    return took < size ? took : size;
}

/* False: the carrier takes no more now. */
static bool write_message(earshot_device *device)
{
    if (!write_out(device, device->out, device->out_size)) return false;
    sent_whole(device);
    return true;
}

static bool write_serial(earshot_device *device)
{
    for (;;) {
        device->piece_at = (uint16_t)(device->piece_at + write_out(device, device->piece + device->piece_at,
                                                                   (size_t)(device->piece_size - device->piece_at)));
        if (device->piece_at < device->piece_size) return false;
        if (device->out_at > device->out_size + 4) break;
        device->piece_size = (uint16_t)earshot_stuff_group(device->piece, device->out, device->out_size,
                                                           device->out_crc, &device->out_at);
        device->piece_at = 0;
    }
    sent_whole(device);
    return true;
}

static bool write_rest(earshot_device *device)
{
    return !device->out || (device->carrier == EARSHOT_SERIAL ? write_serial(device) : write_message(device));
}

static void send_slot(earshot_device *device, uint32_t number, bool before)
{
    uint8_t *place = slot(device, number);
    mark_again(device, number, false);
    place[SLOT_FRAME + FLAGS] = (uint8_t)((place[SLOT_FRAME + FLAGS] & ~RESENT) | (before ? RESENT : 0));
    device->counters.sent++;
    device->counters.resent += before;
    send(device, place + SLOT_FRAME, get16(place + SLOT_SIZE));
    if (device->resend_due || device->acknowledged == device->sent) return;
    device->resend_due = true;
    device->resend_at = device->now + device->resend_patience;
}

static bool send_again(earshot_device *device)
{
    if (!device->again) return false;
    uint32_t number = device->oldest;
    while (!slot(device, number)[SLOT_AGAIN]) number++;
    send_slot(device, number, true);
    return true;
}

static bool send_new(earshot_device *device)
{
    if (device->sent == device->next || is_blocked(device)) return false;
    const uint32_t number = device->sent++;
    const bool before = distance(number, device->highest_sent) > 0;
    if (!before) device->highest_sent = device->sent;
    send_slot(device, number, before);
    return true;
}

static bool send_once(earshot_device *device)
{
    if (!device->outbox_count) return false;
    send(device, device->outbox + 2, get16(device->outbox));
    return true;
}

static bool send_ack(earshot_device *device)
{
    if (!device->ack_wanted) return false;
    uint8_t *payload = device->control + HEADER;
    head(device->control, EARSHOT_T_ACK, 0, 0, device->now);
    put32(payload, device->oldest);
    payload[4] = device->asking;
    put32(payload + 5, device->expected);
    put32(payload + 9, device->highest);
    device->ack_wanted = false;
    send(device, device->control, (size_t)HEADER + (device->asking ? 13 : 5));
    device->asking = false;
    return true;
}

static bool send_hello(earshot_device *device)
{
    if (!has_come(device->now, device->hello_at)) return false;
    device->hello_at = device->now + device->patience;
    device->patience = 2 * device->patience < HELLO_AGAIN_MAX ? 2 * device->patience : HELLO_AGAIN_MAX;
    /* However long it takes, the clock's turning round makes no answer an early one. */
    if (device->now - device->greeting_since > ANSWERED_WITHIN) device->greeting_since = device->now - ANSWERED_WITHIN;
    send(device, device->control, write_hello(device));
    return true;
}

/* Puts the next frame on its way, if there is one. */
static bool next_frame(earshot_device *device)
{
    if (device->state == EARSHOT_GREETING) return send_hello(device);
    if (device->state != EARSHOT_LINKED) return false;
    return send_again(device) || send_new(device) || send_once(device) || send_ack(device);
}

static uint32_t ping_at(const earshot_device *device)
{
    return device->sent_at + (is_blocked(device) ? (uint32_t)PING_BLOCKED : (uint32_t)PING_IDLE);
}

/* Asks for the oldest frame that is overdue to be sent again. */
static void resend(earshot_device *device)
{
    if (!device->resend_due || !has_come(device->now, device->resend_at)) return;
    device->resend_patience = 2 * device->resend_patience < RESEND_MAX ? 2 * device->resend_patience : RESEND_MAX;
    device->resend_at = device->now + device->resend_patience;
    request(device, device->acknowledged, device->acknowledged);
}

static void tick(earshot_device *device)
{
    if (device->state == EARSHOT_REFUSED && has_come(device->now, device->hello_at)) {
        greet(device);
    } else if (device->state == EARSHOT_LINKED && has_come(device->now, device->heard_at + UNHEARD)) {
        greet(device);
    } else if (device->state == EARSHOT_LINKED) {
        resend(device);
        if (!device->out && has_come(device->now, ping_at(device)))
            enqueue(device, EARSHOT_T_PING, 0, device->now, NULL, 0);
    }
}

static void want_ack(earshot_device *device)
{
    if (device->state != EARSHOT_LINKED) {
        device->ack_wanted = device->asking = false;
        return;
    }
    if (is_time_to_ask(device)) device->ack_wanted = device->asking = true;
    if (device->ack_due && has_come(device->now, device->ack_at)) device->ack_wanted = true;
    device->asking = device->asking && device->ask_due; /* it came meanwhile */
}

static void sooner(uint32_t now, uint32_t *wait, uint32_t when)
{
    const int32_t until = distance(now, when);
    if (until <= 0)
        *wait = 0;
    else if ((uint32_t)until < *wait)
        *wait = (uint32_t)until;
}

static uint32_t patience(const earshot_device *device)
{
    uint32_t wait = UINT32_MAX;
    if (device->out) return 0;
    if (device->state == EARSHOT_GREETING || device->state == EARSHOT_REFUSED)
        sooner(device->now, &wait, device->hello_at);
    if (device->state != EARSHOT_LINKED) return wait;
    sooner(device->now, &wait, device->heard_at + UNHEARD);
    sooner(device->now, &wait, ping_at(device));
    if (device->resend_due) sooner(device->now, &wait, device->resend_at);
    if (device->ack_due) sooner(device->now, &wait, device->ack_at);
    if (device->ask_due) sooner(device->now, &wait, device->ask_at);
    return wait;
}

uint32_t earshot_poll(earshot_device *device, uint32_t now)
{
    device->now = now;
    if (device->state == EARSHOT_OFFLINE) return UINT32_MAX;
    tick(device);
    flush(device);
    want_ack(device);
    while (write_rest(device) && next_frame(device)) {
    }
    return patience(device);
}

/* -- the carrier */

void earshot_carrier_up(earshot_device *device, earshot_carrier carrier, uint32_t now)
{
    device->now = now;
    device->carrier = (uint8_t)carrier;
    device->block_size = 0;
    device->block_lost = false;
    device->out = NULL;
    greet(device);
    if (carrier != EARSHOT_SERIAL) return;
    device->out = device->control; /* a delimiter alone: what was on the line before ends there */
    device->out_size = 0;
    device->out_at = 5;
    device->piece[0] = 0;
    device->piece_size = 1;
    device->piece_at = 0;
}

void earshot_carrier_lost(earshot_device *device)
{
    device->state = EARSHOT_OFFLINE;
    pause_sending(device);
    device->out = NULL;
    device->outbox_size = device->outbox_count = 0;
}

/* -- the user */

static int stream_at(const earshot_device *device, uint16_t number)
{
    for (int at = 0; at < device->streams_open; at++)
        if (device->streams[at].number == number) return at;
    return -1;
}

earshot_result earshot_start(earshot_device *device, bool end_on_silence, uint16_t *stream)
{
    if (!stream) return EARSHOT_BAD_ARGUMENT;
    if (device->streams_open >= EARSHOT_STREAMS || device->waiting_count / 2 >= EARSHOT_STREAMS)
        return EARSHOT_MANY_STREAMS;
    device->last_stream = (uint16_t)(device->last_stream == 0xffff ? 1 : device->last_stream + 1);
    device->streams[device->streams_open].number = *stream = device->last_stream;
    device->streams[device->streams_open].end_on_silence = end_on_silence;
    device->streams[device->streams_open++].position = 0;
    wait_for_room(device, EARSHOT_T_AUDIO_START, end_on_silence ? END_ON_SILENCE : 0, *stream, 0);
    return EARSHOT_OK;
}

earshot_result earshot_audio(earshot_device *device, uint16_t stream, earshot_codec codec, const void *payload,
                             size_t size, uint32_t samples)
{
    const int at = stream_at(device, stream);
    if (at < 0) return EARSHOT_NO_STREAM;
    if (size > device->config.frame_size || (unsigned)codec > EARSHOT_OPUS || (size && !payload))
        return EARSHOT_BAD_ARGUMENT;
    if ((codec == EARSHOT_PCM16 && size % 2) || (codec == EARSHOT_IMA_ADPCM && size && size < 4))
        return EARSHOT_BAD_ARGUMENT;
    const uint32_t position = device->streams[at].position;
    const unsigned flags = (unsigned)codec << 4 | (device->streams[at].end_on_silence ? (unsigned)END_ON_SILENCE : 0u);
    device->streams[at].position = position + samples;
    if (!size || append_or_overrun(device, EARSHOT_T_AUDIO, (uint8_t)flags, stream, position, payload, size))
        return EARSHOT_OK;
    device->counters.overrun_samples += samples;
    return EARSHOT_OVERRUN;
}

earshot_result earshot_stop(earshot_device *device, uint16_t stream)
{
    const int at = stream_at(device, stream);
    if (at < 0) return EARSHOT_NO_STREAM;
    const uint32_t position = device->streams[at].position;
    device->streams_open--;
    memmove(device->streams + at, device->streams + at + 1,
            (size_t)(device->streams_open - at) * sizeof device->streams[0]);
    wait_for_room(device, EARSHOT_T_AUDIO_STOP, 0, stream, position);
    return EARSHOT_OK;
}

/* How many bytes of a text fit, without half a character at the end. */
static size_t cut(const char *text, size_t most)
{
    size_t size = strlen(text);
    if (size <= most) return size;
    size = most;
    while (size && ((uint8_t)text[size] & 0xc0) == 0x80) size--;
    return size;
}

earshot_result earshot_notify(earshot_device *device, earshot_notice kind, int16_t value, const char *text,
                              uint16_t stream)
{
    uint8_t payload[4 + EARSHOT_TEXT] = {(uint8_t)kind, 0};
    size_t most = (size_t)device->config.frame_size - 4;
    if (most > EARSHOT_TEXT) most = EARSHOT_TEXT;
    const size_t size = text ? cut(text, most) : 0;
    put16(payload + 2, (uint16_t)value);
    if (size) memcpy(payload + 4, text, size);
    return append_or_overrun(device, EARSHOT_T_EVENT, 0, stream, device->now, payload, 4 + size) ? EARSHOT_OK
                                                                                                 : EARSHOT_OVERRUN;
}

earshot_result earshot_log(earshot_device *device, uint8_t level, const char *text)
{
    uint8_t payload[1 + 192];
    const size_t size = cut(text, sizeof payload - 1);
    payload[0] = level;
    memcpy(payload + 1, text, size);
    return enqueue(device, EARSHOT_T_LOG, 0, device->now, payload, 1 + size) ? EARSHOT_OK : EARSHOT_FULL;
}

earshot_result earshot_say(earshot_device *device, uint8_t type, const void *payload, size_t size)
{
    if (size > EARSHOT_PAYLOAD || (size && !payload) || (type & 0xf0) == 0x10) return EARSHOT_BAD_ARGUMENT;
    return enqueue(device, type, 0, device->now, payload, size) ? EARSHOT_OK : EARSHOT_FULL;
}

/* -- looking */

earshot_state earshot_where(const earshot_device *device)
{
    return (earshot_state)device->state;
}

uint32_t earshot_unacknowledged(const earshot_device *device)
{
    return device->waiting_count + (uint32_t)distance(device->acknowledged, device->next);
}

uint32_t earshot_room(const earshot_device *device)
{
    const int32_t room = ring_room(device) - device->waiting_count;
    return room > 0 ? (uint32_t)room : 0;
}

const earshot_counters *earshot_count(const earshot_device *device)
{
    return &device->counters;
}

uint32_t earshot_boot(const earshot_device *device)
{
    return device->boot;
}

/* -- beginning */

static bool is_of_id(char one)
{
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') || one == '_' ||
           one == '-';
}

/* Single dots may stand between the others. */
static bool is_id(const char *text)
{
    size_t size = 0;
    for (; text[size]; size++) {
        const bool dotted = text[size] == '.' && size && text[size - 1] != '.' && text[size + 1];
        if (size >= EARSHOT_TEXT || !(is_of_id(text[size]) || dotted)) return false;
    }
    return size > 0;
}

static bool is_plain(char one)
{
    return one >= ' ' && one <= '~' && one != '"' && one != '\\';
}

static bool is_text_of(const char *text, bool (*good)(char))
{
    size_t size = 0;
    while (text[size])
        if (!good(text[size++]) || size > EARSHOT_TEXT) return false;
    return true;
}

static bool is_text_or_none(const char *text)
{
    return !text || is_text_of(text, is_plain);
}

earshot_result earshot_init(earshot_device *device, const earshot_config *config)
{
    if (!device || !config || !config->id || !is_id(config->id)) return EARSHOT_BAD_CONFIG;
    if (!is_text_or_none(config->firmware) || !is_text_or_none(config->kind)) return EARSHOT_BAD_CONFIG;
    if (!config->ring || !config->port.write || (config->key && !config->prove)) return EARSHOT_BAD_CONFIG;
    if (config->frame_size < 16 || config->frame_size > EARSHOT_PAYLOAD) return EARSHOT_BAD_CONFIG;
    const size_t slots = config->ring_size / EARSHOT_SLOT((size_t)config->frame_size);
    if (slots < 4 || slots > 1u << 20) return EARSHOT_BAD_CONFIG;
    memset(device, 0, sizeof *device);
    device->config = *config;
    device->boot = config->boot;
    device->slots = (uint32_t)slots;
    device->oldest = device->acknowledged = device->sent = device->next = device->edge = device->highest_sent =
        device->durable = config->first_sequence;
    device->resend_patience = RESEND;
    for (size_t at = 0; at < slots; at++) config->ring[at * stride(device) + SLOT_AGAIN] = 0;
    return EARSHOT_OK;
}
