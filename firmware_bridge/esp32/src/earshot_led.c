#include "earshot_led.h"

static const earshot_light_pattern patterns[EARSHOT_LIGHTS] = {
    /*                                 colour   on    off swells */
    [EARSHOT_LIGHT_OFF] = {0x000000, 1000, 0, 0},          [EARSHOT_LIGHT_SET_UP] = {0x0000ff, 250, 250, 0},
    [EARSHOT_LIGHT_NO_CARRIER] = {0xff4000, 100, 1900, 0}, [EARSHOT_LIGHT_GREETING] = {0xff4000, 500, 500, 0},
    [EARSHOT_LIGHT_REFUSED] = {0xff0000, 1500, 500, 0},    [EARSHOT_LIGHT_IDLE] = {0x000800, 1000, 0, 0},
    [EARSHOT_LIGHT_LISTENING] = {0x00ff00, 1000, 0, 0},    [EARSHOT_LIGHT_TRANSCRIBING] = {0x00c0ff, 400, 0, 1},
    [EARSHOT_LIGHT_THINKING] = {0x6000ff, 1200, 0, 1},     [EARSHOT_LIGHT_REPLY] = {0xffffff, 1000, 0, 0},
    [EARSHOT_LIGHT_BUSY] = {0xffc000, 2000, 0, 1},         [EARSHOT_LIGHT_ERROR] = {0xff0000, 100, 100, 0},
    [EARSHOT_LIGHT_UPDATING] = {0xff00ff, 800, 0, 1},
};

earshot_light_pattern earshot_light_shows(earshot_light light)
{
    return patterns[(unsigned)light < EARSHOT_LIGHTS ? light : EARSHOT_LIGHT_OFF];
}

static uint32_t dimmed(uint32_t colour, uint32_t part, uint32_t whole)
{
    uint32_t red = (colour >> 16 & 0xff) * part / whole;
    uint32_t green = (colour >> 8 & 0xff) * part / whole;
    uint32_t blue = (colour & 0xff) * part / whole;
    return red << 16 | green << 8 | blue;
}

uint32_t earshot_light_at(earshot_light light, uint32_t ms)
{
    earshot_light_pattern pattern = earshot_light_shows(light);
    uint32_t at = ms % ((uint32_t)pattern.on_ms + pattern.off_ms);
    if (at >= pattern.on_ms) {
        return 0;
    }
    if (!pattern.swells) {
        return pattern.colour;
    }
    uint32_t half = pattern.on_ms / 2u;
    return dimmed(pattern.colour, at < half ? at : pattern.on_ms - at, half);
}
