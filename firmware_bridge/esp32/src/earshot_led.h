/* What a board's light says: one table, from what is going on to a colour and its rhythm.
 *
 * A light that is one colour only takes the brightest of the three as its brightness: the rhythms differ, too.
 * Pure functions of their arguments: any task, interrupts included.
 */
#ifndef EARSHOT_LED_H
#define EARSHOT_LED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EARSHOT_LIGHT_OFF = 0,
    EARSHOT_LIGHT_SET_UP,     /* has no Wi-Fi yet and waits to be told of one */
    EARSHOT_LIGHT_NO_CARRIER, /* no line, no Wi-Fi, no broker */
    EARSHOT_LIGHT_GREETING,   /* the line is there, the gateway has not answered */
    EARSHOT_LIGHT_REFUSED,    /* the gateway does not take it: its page says why */
    EARSHOT_LIGHT_IDLE,       /* linked, nothing going on */
    EARSHOT_LIGHT_LISTENING,  /* what is said now is sent */
    EARSHOT_LIGHT_TRANSCRIBING,
    EARSHOT_LIGHT_THINKING,
    EARSHOT_LIGHT_REPLY, /* an answer came */
    EARSHOT_LIGHT_BUSY,  /* the gateway takes no audio now; the board keeps it */
    EARSHOT_LIGHT_ERROR,
    EARSHOT_LIGHT_UPDATING, /* takes an image: do not unplug it */
    EARSHOT_LIGHTS
} earshot_light;

typedef struct {
    uint32_t colour; /* 0xRRGGBB */
    uint16_t on_ms;  /* then for off_ms dark, and again */
    uint16_t off_ms; /* 0: it stays on */
    uint8_t swells;  /* 1: it rises and falls over on_ms instead of going on and off */
} earshot_light_pattern;

/* The row of the table; of what is no light, that of EARSHOT_LIGHT_OFF. */
earshot_light_pattern earshot_light_shows(earshot_light light);

/* The colour, 0xRRGGBB, `ms` after the light began to say this. */
uint32_t earshot_light_at(earshot_light light, uint32_t ms);

#ifdef __cplusplus
}
#endif

#endif
