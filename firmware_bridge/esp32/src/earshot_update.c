#include "earshot_update.h"

enum {
    AGAIN = 2000,
    STALLED = 30000,
    TRIAL = 180000,
    GOODBYE = 500,
    VERIFY_PAUSE = 1000,
    TRY_AGAIN = 10000,
    FETCH_MOST = 8192,
    READ_BACK = 64
}; /* milliseconds, and bytes */
enum { PHASE_NONE, PHASE_WHOLE, PHASE_STARTED };
enum { OFFER_SIZE = 0, OFFER_NUMBER = 4, OFFER_SHA256 = 8, OFFER_SIGNATURE = 40, OFFER_VERSION = 104 };
enum { FOREVER = 0x7fffffff };

static uint32_t get32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    for (unsigned byte = 0; byte < 4; byte++) *at++ = (uint8_t)(value >> 8 * byte & 255);
    return at;
}

static bool has_come(uint32_t now, uint32_t when)
{
    return (int32_t)(now - when) >= 0;
}

static bool is_sha256(const uint8_t *one, const uint8_t *other)
{
    return !memcmp(one, other, 32);
}

/* -- what the gateway is told: the newest alone, as soon as there is room */

static void tell_of(earshot_update *update, uint32_t image, uint8_t state, uint8_t reason, uint32_t offset)
{
    update->tell = true;
    update->told_image = image;
    update->told_state = state;
    update->told_reason = reason;
    update->told_offset = offset;
}

/* Of the image that is in hand. */
static void tell(earshot_update *update, uint8_t state, uint8_t reason)
{
    tell_of(update, get32(update->memory.image), state, reason, update->offset);
}

static void say_told(earshot_update *update)
{
    uint8_t payload[12] = {update->told_state, update->told_reason, 0, 0};
    put32(put32(payload + 4, update->told_image), update->told_offset);
    if (update->tell && update->linked &&
        earshot_say(update->device, EARSHOT_T_UPDATE, payload, sizeof payload) == EARSHOT_OK)
        update->tell = false;
}

static void give_up(earshot_update *update, uint8_t reason)
{
    update->state = EARSHOT_UPDATE_NONE;
    tell(update, EARSHOT_U_FAILED, reason);
}

/* -- offers */

static bool is_running(const earshot_update *update, const uint8_t *sha256)
{
    const earshot_update_memory *memory = &update->memory;
    return memory->running_number && memory->running_slot == update->config.port.running(update->config.port.context) &&
           is_sha256(memory->running, sha256);
}

static bool is_ours(const earshot_update *update, const uint8_t *offer)
{
    return is_sha256(update->memory.image, offer + OFFER_SHA256) &&
           update->memory.number == get32(offer + OFFER_NUMBER);
}

static bool was_rejected(const earshot_update *update, const uint8_t *offer)
{
    return is_sha256(update->memory.rejected, offer + OFFER_SHA256) &&
           update->memory.rejected_number == get32(offer + OFFER_NUMBER);
}

static bool is_version(const earshot_update *update, const uint8_t *version, size_t size)
{
    const char *own = update->device->config.firmware ? update->device->config.firmware : "";
    return strlen(own) == size && !memcmp(own, version, size);
}

/* Puts what is signed together, and has the port look at the signature. */
static bool is_signed(earshot_update *update, const uint8_t *offer, size_t version_size)
{
    static const char NAME[] = "earshot-image-1";
    uint8_t message[sizeof NAME + 2 * (EARSHOT_TEXT + 1) + 40], *at = message;
    const char *kind = update->device->config.kind ? update->device->config.kind : "";
    const size_t kind_size = strlen(kind) + 1;
    memcpy(at, NAME, sizeof NAME);
    memcpy(at += sizeof NAME, kind, kind_size);
    memcpy(at += kind_size, offer + OFFER_VERSION, version_size);
    *(at += version_size) = 0;
    memcpy(++at, offer, 40); /* size, number and SHA-256 stand there as they are signed */
    return update->config.port.verify(update->config.port.context, message, (size_t)(at + 40 - message),
                                      offer + OFFER_SIGNATURE);
}

/* Why it is not taken before its signature is looked at; NONE: it may be. */
static earshot_update_reason objection(const earshot_update *update, const uint8_t *offer, size_t version_size)
{
    const earshot_update_port *port = &update->config.port;
    const uint32_t size = get32(offer), number = get32(offer + OFFER_NUMBER);
    const uint32_t least =
        update->config.number > update->memory.running_number ? update->config.number : update->memory.running_number;
    if (update->state == EARSHOT_UPDATE_TRIAL || update->state == EARSHOT_UPDATE_STARTING) return EARSHOT_U_NOT_NOW;
    if (is_version(update, offer + OFFER_VERSION, version_size)) return EARSHOT_U_SAME_VERSION;
    if (number < least) return EARSHOT_U_OLDER;
    if (!size || size > port->room(port->context)) return EARSHOT_U_TOO_LARGE;
    if (port->may_take && !port->may_take(port->context)) return EARSHOT_U_NOT_NOW;
    return EARSHOT_U_NONE;
}

static void fetch(earshot_update *update, const uint8_t *offer)
{
    const earshot_update_port *port = &update->config.port;
    memcpy(update->memory.image, offer + OFFER_SHA256, 32);
    update->memory.number = get32(offer + OFFER_NUMBER);
    update->size = get32(offer);
    update->offset = 0;
    earshot_sha256_begin(&update->hash);
    if (!port->begin(port->context, update->size)) {
        give_up(update, EARSHOT_U_STORAGE);
        return;
    }
    update->state = EARSHOT_UPDATE_FETCHING;
    tell(update, EARSHOT_U_FETCHING, EARSHOT_U_NONE);
}

/* It is to be had: ask from where we are. */
static void go_on(earshot_update *update)
{
    update->wanted = true;
    update->asked_to = update->offset;
    update->progress_at = update->asked_at = update->now;
}

static void consider(earshot_update *update, const uint8_t *offer, size_t version_size)
{
    const uint32_t image = get32(offer + OFFER_SHA256);
    const earshot_update_reason reason = objection(update, offer, version_size);
    if (reason) {
        tell_of(update, image, EARSHOT_U_DECLINED, (uint8_t)reason, 0);
        return;
    }
    if (update->verified && !has_come(update->now, update->verified_at + VERIFY_PAUSE))
        return; /* it costs time: the gateway offers it again */
    update->verified = true;
    update->verified_at = update->now;
    if (!is_signed(update, offer, version_size)) {
        tell_of(update, image, EARSHOT_U_DECLINED, EARSHOT_U_BAD_SIGNATURE, 0);
        return;
    }
    fetch(update, offer);
    go_on(update);
}

static void take_offer(earshot_update *update, const uint8_t *offer, size_t size)
{
    const uint32_t image = get32(offer + OFFER_SHA256);
    if (size < OFFER_VERSION || size > OFFER_VERSION + EARSHOT_TEXT) return;
    if (update->state != EARSHOT_UPDATE_NONE && is_ours(update, offer)) {
        tell(update, update->state <= EARSHOT_UPDATE_WHOLE ? EARSHOT_U_FETCHING : EARSHOT_U_STARTING, EARSHOT_U_NONE);
        if (!update->wanted) go_on(update);
    } else if (is_running(update, offer + OFFER_SHA256)) {
        tell_of(update, image, EARSHOT_U_CONFIRMED, EARSHOT_U_NONE, get32(offer));
    } else if (was_rejected(update, offer)) {
        tell_of(update, image, EARSHOT_U_ROLLED_BACK, EARSHOT_U_NOT_REACHED, 0);
    } else {
        consider(update, offer, size - OFFER_VERSION);
    }
}

/* -- the image */

/* Hashes what was written: as it stands in flash, where that can be read. */
static bool hash_written(earshot_update *update, const uint8_t *bytes, size_t size)
{
    const earshot_update_port *port = &update->config.port;
    uint8_t back[READ_BACK];
    if (!port->read) {
        earshot_sha256_add(&update->hash, bytes, size);
        return true;
    }
    for (size_t at = 0; at < size; at += sizeof back) {
        const size_t part = size - at < sizeof back ? size - at : sizeof back;
        if (!port->read(port->context, update->offset + (uint32_t)at, back, part)) return false;
        earshot_sha256_add(&update->hash, back, part);
    }
    return true;
}

static void look_at_whole(earshot_update *update)
{
    uint8_t digest[32];
    earshot_sha256_end(&update->hash, digest);
    if (!is_sha256(digest, update->memory.image)) {
        give_up(update, EARSHOT_U_BAD_IMAGE);
        return;
    }
    update->state = EARSHOT_UPDATE_WHOLE;
    tell(update, EARSHOT_U_FETCHING, EARSHOT_U_NONE);
}

static void take_bytes(earshot_update *update, const uint8_t *bytes, size_t size)
{
    const earshot_update_port *port = &update->config.port;
    if (!port->write(port->context, update->offset, bytes, size) || !hash_written(update, bytes, size)) {
        give_up(update, EARSHOT_U_STORAGE);
        return;
    }
    update->offset += (uint32_t)size;
    update->progress_at = update->asked_at = update->now;
    update->gap_told = false;
    if (update->offset == update->size) look_at_whole(update);
}

static void take_image(earshot_update *update, const uint8_t *payload, size_t size)
{
    if (update->state != EARSHOT_UPDATE_FETCHING || !update->wanted || size < 8 ||
        get32(payload) != get32(update->memory.image))
        return;
    const uint32_t offset = get32(payload + 4);
    size -= 8;
    if (!size) {
        update->wanted = false; /* until it is offered again */
    } else if (offset == update->offset && size <= update->asked_to - offset) {
        take_bytes(update, payload + 8, size);
    } else if (offset - update->offset < FETCH_MOST && offset != update->offset && !update->gap_told) {
        update->gap_told = true; /* one was lost: once, and else when no more come */
        update->asked_to = update->offset;
    }
}

/* -- being welcomed */

static void confirm(earshot_update *update)
{
    const earshot_update_port *port = &update->config.port;
    earshot_update_memory *memory = &update->memory;
    port->confirm(port->context);
    memcpy(memory->running, memory->image, 32);
    memory->running_number = memory->number;
    memory->running_slot = port->running(port->context);
    memory->phase = PHASE_NONE;
    memory->rejected_number = 0;
    memset(memory->rejected, 0, 32);
    port->save(port->context, memory); /* else it is on trial once more after the next start */
    update->state = EARSHOT_UPDATE_NONE;
    tell(update, EARSHOT_U_CONFIRMED, EARSHOT_U_NONE);
}

static void take_welcome(earshot_update *update)
{
    update->linked = true;
    update->wanted = false; /* what comes now is of another link */
    if (update->state == EARSHOT_UPDATE_TRIAL) confirm(update);
    if (update->tell_at_welcome)
        tell_of(update, get32(update->memory.rejected), EARSHOT_U_ROLLED_BACK, EARSHOT_U_NOT_REACHED, 0);
    update->tell_at_welcome = false;
}

void earshot_update_hear(earshot_update *update, const earshot_frame *frame)
{
    update->now = update->device->now;
    if (frame->type == EARSHOT_T_WELCOME)
        take_welcome(update);
    else if (frame->type == EARSHOT_T_OFFER)
        take_offer(update, frame->payload, frame->size);
    else if (frame->type == EARSHOT_T_IMAGE)
        take_image(update, frame->payload, frame->size);
}

/* -- what is due */

static void ask(earshot_update *update)
{
    const uint32_t left = update->size - update->offset, length = left < FETCH_MOST ? left : FETCH_MOST;
    uint8_t payload[12];
    if (update->asked_to != update->offset && !has_come(update->now, update->asked_at + AGAIN)) return;
    put32(put32(put32(payload, get32(update->memory.image)), update->offset), length);
    if (earshot_say(update->device, EARSHOT_T_FETCH, payload, sizeof payload) != EARSHOT_OK) return;
    update->asked_to = update->offset + length;
    update->asked_at = update->now;
}

static void keep_fetching(earshot_update *update)
{
    if (!update->linked || !update->wanted) return;
    if (has_come(update->now, update->progress_at + STALLED)) {
        update->wanted = false;
        tell(update, EARSHOT_U_FAILED, EARSHOT_U_STALLED);
    } else {
        ask(update);
    }
}

static bool may_start(const earshot_update *update)
{
    const earshot_update_port *port = &update->config.port;
    if (port->may_start) return port->may_start(port->context);
    return !update->device->streams_open && !earshot_unacknowledged(update->device);
}

/* Everything is there: the gateway is told first, then it is handed over and started. */
static void start(earshot_update *update)
{
    const earshot_update_port *port = &update->config.port;
    earshot_update_memory *memory = &update->memory;
    memory->from = port->running(port->context);
    memory->phase = PHASE_WHOLE;
    const earshot_update_reason reason =
        port->save(port->context, memory) ? port->finish(port->context) : EARSHOT_U_STORAGE;
    if (reason) {
        give_up(update, (uint8_t)reason);
        return;
    }
    memory->phase = PHASE_STARTED;
    if (!port->save(port->context, memory)) {
        give_up(update, EARSHOT_U_STORAGE);
        return;
    }
    port->start(port->context);
}

static void say_goodbye(earshot_update *update)
{
    update->state = EARSHOT_UPDATE_STARTING;
    update->due_at = update->now + GOODBYE;
    tell(update, EARSHOT_U_STARTING, EARSHOT_U_NONE);
}

static bool is_told(const earshot_update *update)
{
    return !update->tell && !update->device->outbox_count && !update->device->out;
}

static void keep_trying(earshot_update *update)
{
    if (!has_come(update->now, update->due_at)) return;
    update->due_at = update->now + TRY_AGAIN;
    update->config.port.roll_back(update->config.port.context);
}

static uint32_t until(const earshot_update *update, uint32_t when)
{
    const int32_t wait = (int32_t)(when - update->now);
    return wait < 0 ? 0 : (uint32_t)wait;
}

static uint32_t patience(const earshot_update *update)
{
    if (update->state == EARSHOT_UPDATE_TRIAL) return until(update, update->due_at);
    if (update->state == EARSHOT_UPDATE_WHOLE || update->state == EARSHOT_UPDATE_STARTING) return 100;
    if (update->state != EARSHOT_UPDATE_FETCHING || !update->linked || !update->wanted) return FOREVER;
    return update->asked_to == update->offset ? 100 : until(update, update->asked_at + AGAIN);
}

uint32_t earshot_update_poll(earshot_update *update, uint32_t now)
{
    update->now = now;
    if (earshot_where(update->device) != EARSHOT_LINKED) update->linked = false;
    if (update->state == EARSHOT_UPDATE_FETCHING)
        keep_fetching(update);
    else if (update->state == EARSHOT_UPDATE_WHOLE && may_start(update))
        say_goodbye(update);
    else if (update->state == EARSHOT_UPDATE_STARTING && may_start(update) &&
             (is_told(update) || has_come(now, update->due_at)))
        start(update);
    else if (update->state == EARSHOT_UPDATE_TRIAL)
        keep_trying(update);
    say_told(update);
    return patience(update);
}

/* -- the beginning */

static void recall(earshot_update *update)
{
    const earshot_update_port *port = &update->config.port;
    earshot_update_memory *memory = &update->memory;
    if (port->load(port->context, memory) && memory->layout == EARSHOT_UPDATE_LAYOUT) return;
    memset(memory, 0, sizeof *memory);
    memory->layout = EARSHOT_UPDATE_LAYOUT;
}

void earshot_update_init(earshot_update *update, earshot_device *device, const earshot_update_config *config,
                         uint32_t now)
{
    memset(update, 0, sizeof *update);
    update->config = *config;
    if (!update->config.trial_ms) update->config.trial_ms = TRIAL;
    update->device = device;
    update->now = now;
    recall(update);
    earshot_update_memory *memory = &update->memory;
    if (memory->phase == PHASE_NONE) return;
    if (memory->from != config->port.running(config->port.context)) {
        update->state = EARSHOT_UPDATE_TRIAL;
        update->due_at = now + update->config.trial_ms;
        return;
    }
    if (memory->phase == PHASE_STARTED) { /* and what ran before runs */
        memcpy(memory->rejected, memory->image, 32);
        memory->rejected_number = memory->number;
        update->tell_at_welcome = true;
    }
    memory->phase = PHASE_NONE;
    config->port.save(config->port.context, memory);
}

earshot_update_state earshot_update_where(const earshot_update *update)
{
    return (earshot_update_state)update->state;
}

uint32_t earshot_update_progress(const earshot_update *update, uint32_t *of)
{
    const bool fetching = update->state == EARSHOT_UPDATE_FETCHING || update->state == EARSHOT_UPDATE_WHOLE;
    if (of) *of = fetching ? update->size : 0;
    return fetching ? update->offset : 0;
}
