/*
 * Push-to-talk over a serial line, on any board that board.h can be written for. The same file runs on an ESP32 (main.c
 * beside it) and in an emulator (../../../emulated), where it is tested with everything that can go wrong with a line.
 */
#include "push_to_talk.h"

#include <stdio.h>
#include <string.h>

#include "board.h"
#include "earshot.h"
#include "earshot_adpcm.h"

#define FRAME_SAMPLES 320u /* 20 ms */
#ifndef TALK_ADPCM
#define TALK_ADPCM 0 /* 1: a quarter of the bytes on the line and in the ring; needed at 115200 baud */
#endif
#define FRAME_BYTES (TALK_ADPCM ? EARSHOT_ADPCM_SIZE(FRAME_SAMPLES) : 2u * FRAME_SAMPLES)
/* What is kept while the gateway is away: 2.5 s of PCM16, or 8 s of IMA ADPCM. */
#ifndef TALK_RING_BYTES
#define TALK_RING_BYTES (80u * 1024u)
#endif
#ifndef TALK_FIRMWARE
#define TALK_FIRMWARE "push-to-talk " EARSHOT_VERSION
#endif
#define LOOK_MILLISECONDS 10u /* how often the button and the microphone are looked at */

struct talk {
    earshot_device device;
    earshot_update update;
    bool takes_images;
    bool talking;
    bool overrun; /* something of this stretch found no room */
    uint16_t stream;
    earshot_adpcm coder;
};

static struct talk talk;
static uint8_t ring[TALK_RING_BYTES] __attribute__((aligned(4)));

static void print(const char *what, const char *text)
{
    board_print(what, text, strlen(text));
}

static size_t write_bytes(void *context, const uint8_t *bytes, size_t size)
{
    (void)context;
    return board_write(bytes, size);
}

static void hear(void *context, const earshot_frame *frame)
{
    static const char *const statuses[] = {"idle", "listening", "transcribing", "thinking", "busy", "error"};

    (void)context;
    if (talk.takes_images) {
        earshot_update_hear(&talk.update, frame);
    }
    switch (frame->type) {
    case EARSHOT_T_WELCOME: print("linked", board_device_id()); break;
    case EARSHOT_T_STATUS:
        if (frame->code < sizeof statuses / sizeof *statuses) {
            print("status", statuses[frame->code]);
        }
        break;
    case EARSHOT_T_TRANSCRIPT: board_print("heard", frame->text, frame->text_size); break;
    case EARSHOT_T_REPLY: /* a long one comes in parts */
        board_print((frame->flags & EARSHOT_CONTINUED) != 0 ? "reply, first" : "reply", frame->text, frame->text_size);
        break;
    case EARSHOT_T_FAULT: board_print("fault", frame->text, frame->text_size); break;
    default: break;
    }
}

static void print_number(const char *what, uint32_t number)
{
    char digits[12];
    snprintf(digits, sizeof digits, "%lu", (unsigned long)number);
    print(what, digits);
}

__attribute__((weak)) const char *board_takes_images(earshot_update_config *how)
{
    (void)how;
    return NULL;
}

static void begin(void)
{
    earshot_update_config updates;
    const char *kind = board_takes_images(&updates);
    earshot_config config = {
        .id = board_device_id(),
        .boot = board_random(),
        .firmware = TALK_FIRMWARE,
        .kind = kind,
        .takes_images = kind != NULL,
        .ring = ring,
        .ring_size = sizeof ring,
        .frame_size = FRAME_BYTES,
        .port = {.write = write_bytes, .hear = hear},
    };

    if (earshot_init(&talk.device, &config) != EARSHOT_OK) {
        print("fault", "this cannot be configured so");
        for (;;) {
            board_wait(1000);
        }
    }
    talk.takes_images = kind != NULL;
    if (talk.takes_images) {
        earshot_update_init(&talk.update, &talk.device, &updates, board_milliseconds());
    }
    print("firmware", TALK_FIRMWARE);
    print("device", config.id);
    earshot_carrier_up(&talk.device, EARSHOT_SERIAL, board_milliseconds());
}

static earshot_result send_frame(const int16_t *samples, size_t count)
{
    static uint8_t coded[EARSHOT_ADPCM_SIZE(FRAME_SAMPLES)];

    if (!TALK_ADPCM) {
        return earshot_audio(&talk.device, talk.stream, EARSHOT_PCM16, samples, 2u * count, (uint32_t)count);
    }
    count -= count % 2u; /* two to a byte: an odd last one is not worth another */
    size_t size = earshot_adpcm_encode(&talk.coder, samples, count, coded);
    return earshot_audio(&talk.device, talk.stream, EARSHOT_IMA_ADPCM, coded, size, (uint32_t)count);
}

/* What the microphone has, frame by frame, the last one as short as it is. What finds no room in the ring is counted,
 * and told once. */
static void send_audio(void)
{
    static int16_t samples[FRAME_SAMPLES];
    size_t count;

    while ((count = board_hear(samples, FRAME_SAMPLES)) > 0) {
        if (send_frame(samples, count) == EARSHOT_OVERRUN && !talk.overrun) {
            talk.overrun = true;
            print("overrun", "the gateway is away, and the ring is full");
        }
    }
}

static void look_at_button(void)
{
    bool pressed = board_button();

    if (pressed && !talk.talking && earshot_start(&talk.device, false, &talk.stream) == EARSHOT_OK) {
        talk.talking = true;
        talk.overrun = false;
        talk.coder = (earshot_adpcm){0};
        board_listen(true);
    } else if (!pressed && talk.talking) {
        board_listen(false);
        send_audio();
        talk.talking = false;
        earshot_stop(&talk.device, talk.stream);
        print_number("lost so far, in samples", earshot_count(&talk.device)->overrun_samples);
    }
}

static void take_bytes(void)
{
    uint8_t bytes[128];
    size_t count;

    while ((count = board_read(bytes, sizeof bytes)) > 0) {
        earshot_receive(&talk.device, bytes, count, board_milliseconds());
    }
}

void push_to_talk(void)
{
    begin();
    for (;;) {
        take_bytes();
        look_at_button();
        if (talk.talking) {
            send_audio();
        }
        if (talk.takes_images) {
            earshot_update_poll(&talk.update, board_milliseconds());
        }
        uint32_t due = earshot_poll(&talk.device, board_milliseconds());
        board_wait(due < LOOK_MILLISECONDS ? due + (due == 0) : LOOK_MILLISECONDS);
    }
}
