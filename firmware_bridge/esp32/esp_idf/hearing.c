#include "hearing.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "earshot_gate.h"
#include "esp_check.h"
#include "esp_heap_caps.h"
#include "freertos/FreeRTOS.h"
#include "freertos/message_buffer.h"
#include "sdkconfig.h"
#include "wire.h"

#define QUEUED_MS 1000
#define FRAME_MOST 960
#define WAKE_MOST (15 * EARSHOT_RATE)
#define BEFORE (EARSHOT_RATE / 2)
#define HEAD offsetof(earshot_heard, bytes)

static const char *const TAG = "earshot";

static struct {
    earshot_esp_config config;
    MessageBufferHandle_t queue;
    atomic_bool talk, over;
    atomic_uint lost;
    bool open;  /* a START is in the queue, or was, and no STOP yet */
    bool awake; /* a wake word was heard */
    int16_t frame[FRAME_MOST];
    size_t held;
    uint32_t sent, hole;
    earshot_heard next;
    earshot_gate gate;
} hearing;

esp_err_t earshot_hearing_open(const earshot_esp_config *config)
{
    size_t frames = QUEUED_MS * EARSHOT_RATE / 1000 / earshot_coder_frame() + 4;
    hearing.config = *config;
    hearing.queue = xMessageBufferCreate(frames * (HEAD + earshot_coder_payload() + sizeof(size_t)));
    ESP_RETURN_ON_FALSE(hearing.queue, ESP_ERR_NO_MEM, TAG, "no memory for a second of audio");
#if CONFIG_EARSHOT_ALWAYS_ON
    int16_t *before = heap_caps_malloc(BEFORE * sizeof *before, MALLOC_CAP_8BIT);
    ESP_RETURN_ON_FALSE(before, ESP_ERR_NO_MEM, TAG, "no memory for the gate");
    earshot_gate_config gate = EARSHOT_GATE_DEFAULTS(before, BEFORE);
    earshot_gate_init(&hearing.gate, &gate);
#endif
    return ESP_OK;
}

void earshot_hearing_talk(bool talk)
{
    atomic_store(&hearing.talk, talk);
}

void earshot_hearing_over(void)
{
    atomic_store(&hearing.over, true);
}

uint32_t earshot_hearing_lost(void)
{
    return atomic_load(&hearing.lost);
}

bool earshot_hearing_take(earshot_heard *heard)
{
    return xMessageBufferReceive(hearing.queue, heard, sizeof *heard, 0) >= HEAD;
}

static bool put(size_t bytes)
{
    bool taken = xMessageBufferSend(hearing.queue, &hearing.next, HEAD + bytes, 0) > 0;
    earshot_wake();
    return taken;
}

/* What finds no room is a hole in front of what finds some. */
static void put_frame(void)
{
    size_t size = earshot_coder_code(hearing.frame, hearing.held, hearing.next.bytes);
    hearing.next.what = EARSHOT_HEARD_AUDIO;
    hearing.next.samples = (uint16_t)hearing.held;
    hearing.next.size = (uint16_t)size;
    hearing.next.hole = hearing.hole;
    if (size && put(size)) {
        hearing.hole = 0;
    } else {
        hearing.hole += (uint32_t)hearing.held;
        atomic_fetch_add(&hearing.lost, hearing.held);
    }
    hearing.held = 0;
}

static void add(const int16_t *samples, size_t count)
{
    size_t frame = earshot_coder_frame();
    hearing.sent += (uint32_t)count;
    while (count) {
        size_t part = frame - hearing.held < count ? frame - hearing.held : count;
        memcpy(hearing.frame + hearing.held, samples, part * sizeof *samples);
        hearing.held += part;
        samples += part;
        count -= part;
        if (hearing.held == frame) {
            put_frame();
        }
    }
}

/* False: the queue is full; it is tried again with the next samples. */
static bool begin(bool end_on_silence)
{
    earshot_coder_begin();
    hearing.sent = hearing.hole = 0;
    hearing.held = 0;
    hearing.next.what = EARSHOT_HEARD_START;
    hearing.next.end_on_silence = end_on_silence;
    return put(0);
}

/* Samples of a stretch, which begins with them if it has not yet. */
static void send(const int16_t *samples, size_t count, bool end_on_silence)
{
    hearing.open = hearing.open || begin(end_on_silence);
    if (hearing.open) {
        add(samples, count);
    } else {
        atomic_fetch_add(&hearing.lost, count);
    }
}

/* A stop that finds no room is tried again with the next samples: hearing.open stays. */
static void finish(void)
{
    if (!hearing.open) {
        return;
    }
    if (hearing.held) {
        put_frame();
    }
    hearing.next.what = EARSHOT_HEARD_STOP;
    hearing.next.hole = hearing.hole;
    hearing.open = !put(0);
}

static inline void while_held(const int16_t *samples, size_t count)
{
    if (atomic_load(&hearing.talk)) {
        send(samples, count, false);
    } else {
        finish();
    }
}

static inline void whenever_spoken(const int16_t *samples, size_t count)
{
    const int16_t *older, *newer;
    size_t older_count, newer_count;
    switch (earshot_gate_feed(&hearing.gate, samples, count)) {
    case EARSHOT_GATE_OPENS:
        finish(); /* what found no room for its end before */
        earshot_gate_before(&hearing.gate, &older, &older_count, &newer, &newer_count);
        send(older, older_count, true);
        send(newer, newer_count, true);
        break;
    case EARSHOT_GATE_OPEN: send(samples, count, true); break;
    case EARSHOT_GATE_SHUTS:
        send(samples, count, true);
        finish();
        break;
    default: finish();
    }
}

static bool word_in(const int16_t *samples, size_t count)
{
    hearing.next.score = 0;
    hearing.next.word =
        hearing.config.wake ? hearing.config.wake(hearing.config.context, samples, count, &hearing.next.score) : NULL;
    if (hearing.next.word) {
        hearing.next.what = EARSHOT_HEARD_WORD;
        put(0);
    }
    return hearing.next.word != NULL;
}

/* The gateway hears the end of what was said; nobody speaks for 15 s. */
static inline void after_a_word(const int16_t *samples, size_t count)
{
    if (!hearing.awake) {
        finish();
        bool heard = word_in(samples, count);
        hearing.awake = atomic_exchange(&hearing.talk, false) || heard;
        atomic_store(&hearing.over, false);
        return;
    }
    if (atomic_load(&hearing.over) || (hearing.open && hearing.sent > WAKE_MOST)) {
        hearing.awake = false;
        finish();
        return;
    }
    send(samples, count, true);
}

void earshot_hearing_feed(const int16_t *samples, size_t count)
{
#if CONFIG_EARSHOT_ALWAYS_ON
    whenever_spoken(samples, count);
    (void)while_held;
    (void)after_a_word;
#elif CONFIG_EARSHOT_WAKE_WORD
    after_a_word(samples, count);
    (void)while_held;
    (void)whenever_spoken;
#else
    while_held(samples, count);
    (void)whenever_spoken;
    (void)after_a_word;
#endif
}
