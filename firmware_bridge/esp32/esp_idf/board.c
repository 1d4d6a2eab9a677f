#include "earshot_microphone.h"
#include "sdkconfig.h"

#if CONFIG_EARSHOT_BOARD_OTHER

static const earshot_board other = {
    .name = "another board",
    .chip = CONFIG_IDF_TARGET,
    .source = "menuconfig",
#if CONFIG_EARSHOT_PIN_MIC_PDM
    .mic = EARSHOT_MIC_PDM,
    .in = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, CONFIG_EARSHOT_PIN_MIC_WS, CONFIG_EARSHOT_PIN_MIC_DATA},
#else
    .mic = EARSHOT_MIC_I2S,
    .in = {EARSHOT_NO_PIN, CONFIG_EARSHOT_PIN_MIC_BCLK, CONFIG_EARSHOT_PIN_MIC_WS, CONFIG_EARSHOT_PIN_MIC_DATA},
#endif
    .slots = 1,
#if CONFIG_EARSHOT_MIC_RIGHT
    .take = 1,
#endif
    .gain_bits = CONFIG_EARSHOT_MIC_GAIN_BITS,
    .codec = {EARSHOT_NO_PIN, EARSHOT_NO_PIN},
    .out = {EARSHOT_NO_PIN, EARSHOT_NO_PIN, EARSHOT_NO_PIN, EARSHOT_NO_PIN},
    .button = CONFIG_EARSHOT_PIN_BUTTON,
    .led = CONFIG_EARSHOT_PIN_LED < 0 ? EARSHOT_LED_NONE :
#if CONFIG_EARSHOT_LED_IS_RGB
                                      EARSHOT_LED_RGB,
#else
                                      EARSHOT_LED_PLAIN,
#endif
    .led_pin = CONFIG_EARSHOT_PIN_LED,
};

const earshot_board *earshot_this_board(void)
{
    return &other;
}

#else

const earshot_board *earshot_this_board(void)
{
#if CONFIG_EARSHOT_BOARD_ESP32_DEVKIT
    return &earshot_boards[EARSHOT_BOARD_ESP32_DEVKIT];
#elif CONFIG_EARSHOT_BOARD_ESP32S3_DEVKIT
    return &earshot_boards[EARSHOT_BOARD_ESP32S3_DEVKIT];
#elif CONFIG_EARSHOT_BOARD_ESP32C3_DEVKIT
    return &earshot_boards[EARSHOT_BOARD_ESP32C3_DEVKIT];
#elif CONFIG_EARSHOT_BOARD_S3_BOX_3
    return &earshot_boards[EARSHOT_BOARD_S3_BOX_3];
#elif CONFIG_EARSHOT_BOARD_XIAO_S3_SENSE
    return &earshot_boards[EARSHOT_BOARD_XIAO_S3_SENSE];
#elif CONFIG_EARSHOT_BOARD_ATOM_ECHO
    return &earshot_boards[EARSHOT_BOARD_ATOM_ECHO];
#elif CONFIG_EARSHOT_BOARD_ATOMS3_ECHO_BASE
    return &earshot_boards[EARSHOT_BOARD_ATOMS3_ECHO_BASE];
#elif CONFIG_EARSHOT_BOARD_ATOMS3U
    return &earshot_boards[EARSHOT_BOARD_ATOMS3U];
#else
#error "Choose a board: idf.py menuconfig, Component config, Earshot"
#endif
}

#endif
