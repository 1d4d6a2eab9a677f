/*
 * Push-to-talk over a serial line, on any board that board.h can be written for. The same file runs on an ESP32 (main.c
 * beside it) and in an emulator (../../../emulated), where it is tested with everything that can go wrong with a line.
 */
#include "push_to_talk.h"

#include <stdio.h>

#include "board.h"
#include "earshot.h"

#define FRAME_SAMPLES 320u                  /* 20 ms */
#define FRAME_BYTES (2u * FRAME_SAMPLES)
#ifndef RING_FRAMES
#define RING_FRAMES 128u                    /* what is kept while the gateway is away */
#endif
#ifndef TALK_FIRMWARE
#define TALK_FIRMWARE "push-to-talk " EARSHOT_VERSION
#endif
#define LOOK_MILLISECONDS 10u               /* how often the button and the microphone are looked at */

struct talk {
    earshot_device device;
    bool talking;
    uint16_t stream;
};

static struct talk talk;
static uint8_t ring[RING_FRAMES * EARSHOT_SLOT(FRAME_BYTES)] __attribute__((aligned(4)));

static size_t write_bytes(void *context, const uint8_t *bytes, size_t size)
{
    (void)context;
    return board_write(bytes, size);
}

static void hear(void *context, const earshot_frame *frame)
{
    static const char *const statuses[] = {"idle", "listening", "transcribing", "thinking", "busy", "error"};

    (void)context;
    switch (frame->type) {
    case EARSHOT_T_WELCOME:
        board_print("linked", "", 0);
        break;
    case EARSHOT_T_STATUS:
        if (frame->code < sizeof statuses / sizeof *statuses) {
            board_print("status", statuses[frame->code], strlen(statuses[frame->code]));
        }
        break;
    case EARSHOT_T_TRANSCRIPT:
        board_print("heard", frame->text, frame->text_size);
        break;
    case EARSHOT_T_REPLY: /* a long one comes in parts */
        board_print((frame->flags & EARSHOT_CONTINUED) != 0 ? "reply, first" : "reply", frame->text, frame->text_size);
        break;
    case EARSHOT_T_FAULT:
        board_print("fault", frame->text, frame->text_size);
        break;
    default:
        break;
    }
}

static void print_number(const char *what, uint32_t number)
{
    char digits[12];
    int size = snprintf(digits, sizeof digits, "%lu", (unsigned long)number);

    board_print(what, digits, (size_t)size);
}

static void begin(void)
{
    earshot_config config = {
        .id = board_device_id(),
        .boot = board_random(),
        .firmware = TALK_FIRMWARE,
        .ring = ring,
        .ring_size = sizeof ring,
        .frame_size = FRAME_BYTES,
        .port = {.write = write_bytes, .hear = hear},
    };

    if (earshot_init(&talk.device, &config) != EARSHOT_OK) {
        board_print("fault", "the configuration cannot be", 27);
        for (;;) {
            board_wait(1000);
        }
    }
    earshot_carrier_up(&talk.device, EARSHOT_SERIAL, board_milliseconds());
}

/* What the microphone has, frame by frame, the last one as short as it is. What finds no room in the ring is counted. */
static void send_audio(void)
{
    static int16_t samples[FRAME_SAMPLES];
    size_t count;

    while ((count = board_hear(samples, FRAME_SAMPLES)) > 0) {
        earshot_audio(&talk.device, talk.stream, EARSHOT_PCM16, samples, count * sizeof *samples, (uint32_t)count);
    }
}

static void look_at_button(void)
{
    bool pressed = board_button();

    if (pressed && !talk.talking && earshot_start(&talk.device, false, &talk.stream) == EARSHOT_OK) {
        talk.talking = true;
        board_listen(true);
    } else if (!pressed && talk.talking) {
        board_listen(false);
        send_audio();
        talk.talking = false;
        earshot_stop(&talk.device, talk.stream);
        print_number("samples overrun so far", earshot_count(&talk.device)->overrun_samples);
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
        uint32_t due = earshot_poll(&talk.device, board_milliseconds());
        board_wait(due < LOOK_MILLISECONDS ? due + (due == 0) : LOOK_MILLISECONDS);
    }
}
