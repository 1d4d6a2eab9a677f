/*
 * The board of ../examples/serial_push_to_talk as qemu's riscv32 machine `virt` has it: the UART is the link. What a
 * board has beside its link stands on the host, by semihosting: the console is qemu's standard output, and the button
 * a file that is pressed by writing into it. The program's arguments are the device's id and that file's name.
 */
#include "board.h"

#include <semihost.h>
#include <stdio.h>
#include <string.h>

#include "push_to_talk.h"
#include "update.h"
#include "virt.h"

/* What a firmware may have wrong that is taken over the air. */
#ifndef BOARD_MUTE
#define BOARD_MUTE 0
#endif
#ifndef BOARD_CRASHES
#define BOARD_CRASHES 0
#endif

#define SAMPLES_PER_MILLISECOND 16u
#define BUTTON_MICROSECONDS 10000u /* how often it is looked at */

extern const int16_t speech[];
extern const int16_t speech_end[];

static char arguments[256];
static const char *device_id = "emulated";
static int button_file = -1;

/* The button is held from a press until all of the recording was heard. */
static bool held;
static uint64_t looked_at;

static bool listening;
static uint64_t listening_since;
static uint64_t listened_until;
static size_t taken; /* samples of the recording */

uint32_t board_milliseconds(void)
{
    return (uint32_t)(virt_microseconds() / 1000u);
}

uint32_t board_random(void)
{
    uint32_t number = (uint32_t)virt_microseconds();
    int file = sys_semihost_open("/dev/urandom", SH_OPEN_R_B);

    if (file >= 0) {
        sys_semihost_read(file, &number, sizeof number);
        sys_semihost_close(file);
    }
    return number;
}

const char *board_device_id(void)
{
    return device_id;
}

size_t board_write(const uint8_t *bytes, size_t count)
{
    if (BOARD_MUTE) {
        return count;
    }
    return virt_uart_write(bytes, count);
}

size_t board_read(uint8_t *bytes, size_t room)
{
    return virt_uart_read(bytes, room);
}

static size_t recorded(void)
{
    return (size_t)(speech_end - speech);
}

/* Whether a byte came into the button's file: that is a press. */
static bool was_pressed(void)
{
    char press;
    uint64_t now = virt_microseconds();

    if (button_file < 0 || now - looked_at < BUTTON_MICROSECONDS) {
        return false;
    }
    looked_at = now;
    return sys_semihost_read(button_file, &press, 1) == 0; /* so many of them did not come */
}

/* How many samples the microphone has heard since it began to listen. */
static size_t heard_by_now(void)
{
    uint64_t until = listening ? virt_microseconds() : listened_until;
    uint64_t samples = (until - listening_since) / 1000u * SAMPLES_PER_MILLISECOND;

    return samples < recorded() ? (size_t)samples : recorded();
}

bool board_button(void)
{
    if (!held) {
        held = was_pressed();
    } else if (listening && heard_by_now() == recorded()) {
        held = false;
    }
    return held;
}

void board_listen(bool listen)
{
    if (listen) {
        listening_since = virt_microseconds();
        taken = 0;
    } else {
        listened_until = virt_microseconds();
    }
    listening = listen;
}

size_t board_hear(int16_t *samples, size_t count)
{
    size_t there = heard_by_now() - taken;

    if (there < count && listening) {
        return 0;
    }
    count = there < count ? there : count;
    memcpy(samples, speech + taken, count * sizeof *samples);
    taken += count;
    return count;
}

void board_print(const char *what, const char *text, size_t size)
{
    static char line[1200]; /* longer than any text of a frame */

    snprintf(line, sizeof line, "%s: %.*s\n", what, (int)size, text);
    sys_semihost_write0(line);
}

const char *board_takes_images(earshot_update_config *how)
{
    return update_begin(how) ? "emulated" : NULL;
}

void virt_crashed(uint32_t cause, uint32_t address)
{
    static char line[64];

    snprintf(line, sizeof line, "crashed: cause %lu at %lx\n", (unsigned long)cause, (unsigned long)address);
    sys_semihost_write0(line);
}

void board_wait(uint32_t milliseconds)
{
    virt_sleep(milliseconds * 1000u);
}

/* "earshot ID FILE", as qemu was told. */
static void read_arguments(void)
{
    if (sys_semihost_get_cmdline(arguments, sizeof arguments - 1) != 0 || strtok(arguments, " ") == NULL) {
        return;
    }
    const char *id = strtok(NULL, " ");
    const char *button = strtok(NULL, " ");

    device_id = id != NULL ? id : device_id;
    button_file = button != NULL ? sys_semihost_open(button, SH_OPEN_R_B) : -1;
    if (button_file >= 0) { /* a press before is none of this life */
        sys_semihost_seek(button_file, sys_semihost_flen(button_file));
    }
}

int main(void)
{
    virt_start();
    if (BOARD_CRASHES) {
        __asm__ volatile("unimp");
    }
    read_arguments();
    push_to_talk();
}
