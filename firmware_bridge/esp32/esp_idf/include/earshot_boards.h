/* The boards whose pins are known: the one table. Kconfig's "Board" chooses a row; docs/firmware.md shows it (a test
 * compiles this header and compares). It needs no header of ESP-IDF's, so that anything can read it.
 *
 * No row has been tried on its board by Earshot: each says where its numbers were read.
 */
#ifndef EARSHOT_BOARDS_H
#define EARSHOT_BOARDS_H

#include <stdint.h>

typedef enum {
    EARSHOT_MIC_I2S,    /* a digital microphone that speaks I2S: 24 bits in slots of 32 */
    EARSHOT_MIC_PDM,    /* one that speaks PDM: the chip makes samples of it (ESP32 and S3; the C3 cannot) */
    EARSHOT_MIC_ES7210, /* analog ones behind this converter, set up over I2C */
    EARSHOT_MIC_ES8311
} earshot_mic_kind;

typedef enum {
    EARSHOT_LED_NONE,
    EARSHOT_LED_PLAIN,     /* on when its pin is high */
    EARSHOT_LED_PLAIN_LOW, /* on when its pin is low */
    EARSHOT_LED_RGB        /* one WS2812 or SK6812 */
} earshot_led_kind;

typedef enum {
    EARSHOT_BOARD_ESP32_DEVKIT,
    EARSHOT_BOARD_ESP32S3_DEVKIT,
    EARSHOT_BOARD_ESP32C3_DEVKIT,
    EARSHOT_BOARD_S3_BOX_3,
    EARSHOT_BOARD_XIAO_S3_SENSE,
    EARSHOT_BOARD_ATOM_ECHO,
    EARSHOT_BOARD_ATOMS3_ECHO_BASE,
    EARSHOT_BOARD_ATOMS3U,
    EARSHOT_BOARDS
} earshot_board_number;

#define EARSHOT_NO_PIN (-1)

typedef struct {
    const char *name;   /* as people call it */
    const char *chip;   /* ESP-IDF's target */
    const char *source; /* where the numbers were read */
    earshot_mic_kind mic;
    struct {
        int8_t mclk, bclk, ws, data;
    } in;                           /* PDM: its clock is `ws`, as on the boards' own drawings; no bclk */
    uint8_t slots, take, gain_bits; /* earshot_slots.h */
    struct {
        int8_t sda, scl;
    } codec; /* I2C of the converter */
    struct {
        int8_t bclk, ws, data, amplifier;
    } out;         /* the loudspeaker's I2S; amplifier: high to switch it on */
    int8_t button; /* low when pressed, all of them */
    earshot_led_kind led;
    int8_t led_pin;
    const char *remark;
} earshot_board;

/* A table, and so it stays: */
/* clang-format off */
static const earshot_board earshot_boards[EARSHOT_BOARDS] = {
    /* Wiring of one's own: INMP441 (its L/R to ground: left) and MAX98357A on pins that are free on these boards, no
     * strapping pins, none of flash or PSRAM. The light and the button are the board's. */
    [EARSHOT_BOARD_ESP32_DEVKIT] = {
        .name = "ESP32 DevKit, INMP441, MAX98357A", .chip = "esp32",
        .source = "wired as docs/firmware.md draws it; BOOT: Espressif's user guide of ESP32-DevKitC V4",
        .mic = EARSHOT_MIC_I2S, .in = {EARSHOT_NO_PIN, 26, 25, 33}, .slots = 1, .take = 0, .gain_bits = 3,
        .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN}, .out = {22, 21, 23, EARSHOT_NO_PIN},
        .button = 0, .led = EARSHOT_LED_PLAIN, .led_pin = 2, .remark = "many have a blue light at GPIO2, Espressif's own has none"},
    [EARSHOT_BOARD_ESP32S3_DEVKIT] = {
        .name = "ESP32-S3-DevKitC-1, INMP441, MAX98357A", .chip = "esp32s3",
        .source = "wired as docs/firmware.md draws it; light and BOOT: Espressif's user guide of ESP32-S3-DevKitC-1 v1.1",
        .mic = EARSHOT_MIC_I2S, .in = {EARSHOT_NO_PIN, 4, 5, 6}, .slots = 1, .take = 0, .gain_bits = 3,
        .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN}, .out = {15, 16, 17, EARSHOT_NO_PIN},
        .button = 0, .led = EARSHOT_LED_RGB, .led_pin = 38, .remark = "v1.0 has its light at GPIO48"},
    [EARSHOT_BOARD_ESP32C3_DEVKIT] = {
        .name = "ESP32-C3-DevKitM-1, INMP441, MAX98357A", .chip = "esp32c3",
        .source = "wired as docs/firmware.md draws it; light and BOOT: RIOT's board definition esp32c3-devkit",
        .mic = EARSHOT_MIC_I2S, .in = {EARSHOT_NO_PIN, 4, 5, 6}, .slots = 1, .take = 0, .gain_bits = 3,
        .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN}, .out = {4, 5, 7, EARSHOT_NO_PIN},
        .button = 9, .led = EARSHOT_LED_RGB, .led_pin = 8, .remark = "one I2S: microphone and loudspeaker share its clocks"},

    [EARSHOT_BOARD_S3_BOX_3] = {
        .name = "ESP32-S3-BOX-3", .chip = "esp32s3",
        .source = "espressif/esp-bsp, bsp/esp-box-3/include/bsp/esp-box-3.h",
        .mic = EARSHOT_MIC_ES7210, .in = {2, 17, 45, 16}, .slots = 2, .take = 2, .gain_bits = 0,
        .codec = {8, 18}, .out = {17, 45, 15, 46},
        .button = 0, .led = EARSHOT_LED_NONE, .led_pin = EARSHOT_NO_PIN, .remark = "16 MB PSRAM; the mute button is hardware's"},
    [EARSHOT_BOARD_XIAO_S3_SENSE] = {
        .name = "Seeed XIAO ESP32S3 Sense", .chip = "esp32s3",
        .source = "Seeed-Studio/wiki-documents, XIAO_ESP32S3_Sense_mic.md; light: arduino-esp32, variants/XIAO_ESP32S3",
        .mic = EARSHOT_MIC_PDM, .in = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, 42, 41}, .slots = 1, .take = 0, .gain_bits = 2,
        .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN}, .out = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, EARSHOT_NO_PIN, EARSHOT_NO_PIN},
        .button = 0, .led = EARSHOT_LED_PLAIN_LOW, .led_pin = 21, .remark = "8 MB PSRAM; GPIO21 is also the card slot's CS"},
    [EARSHOT_BOARD_ATOM_ECHO] = {
        .name = "M5Stack Atom Echo", .chip = "esp32",
        .source = "m5stack/M5Unified, src/M5Unified.cpp, board_M5AtomEcho",
        .mic = EARSHOT_MIC_PDM, .in = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, 33, 23}, .slots = 1, .take = 0, .gain_bits = 2,
        .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN}, .out = {19, 33, 22, EARSHOT_NO_PIN},
        .button = 39, .led = EARSHOT_LED_RGB, .led_pin = 27, .remark = "GPIO33 is the microphone's clock and the loudspeaker's: one at a time"},
    [EARSHOT_BOARD_ATOMS3_ECHO_BASE] = {
        .name = "M5Stack AtomS3 on Atomic Echo Base", .chip = "esp32s3",
        .source = "m5stack/M5Unified, src/M5Unified.cpp, atomic_echo; button: espressif/esp-bsp, bsp/m5_atom_s3",
        .mic = EARSHOT_MIC_ES8311, .in = {EARSHOT_NO_PIN, 8, 6, 7}, .slots = 2, .take = 0, .gain_bits = 0,
        .codec = {38, 39}, .out = {8, 6, 5, EARSHOT_NO_PIN},
        .button = 41, .led = EARSHOT_LED_NONE, .led_pin = EARSHOT_NO_PIN, .remark = "no PSRAM; AtomS3 Lite has its light at GPIO35 (RGB)"},
    [EARSHOT_BOARD_ATOMS3U] = {
        .name = "M5Stack AtomS3U", .chip = "esp32s3",
        .source = "m5stack/M5Unified, src/M5Unified.cpp, board_M5AtomS3U",
        .mic = EARSHOT_MIC_PDM, .in = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, 39, 38}, .slots = 1, .take = 0, .gain_bits = 2,
        .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN}, .out = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, EARSHOT_NO_PIN, EARSHOT_NO_PIN},
        .button = 41, .led = EARSHOT_LED_RGB, .led_pin = 35, .remark = "a USB plug: a microphone at the box"},
};
/* clang-format on */

#endif
