/* A gate for a microphone that is always on: it opens when somebody speaks and shuts when nobody has for a while.
 *
 * It goes by energy over the noise of the room, which it learns, with a higher bar to open than to stay open, and keeps
 * a little of what came before it opened, so that no first word is lost. It is no recogniser of speech: the gateway's
 * is behind it and decides. What it is for is an air, a battery and a gateway that are not busy all night.
 *
 * Any task, not from two at once. Nothing is allocated: the buffer for what came before is the caller's, and must live
 * as long as the gate. Time is what was fed to it: 16000 samples are a second.
 */
#ifndef EARSHOT_GATE_H
#define EARSHOT_GATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int16_t *before;       /* holds what came before the gate opened, the block that opened it included */
    size_t before_samples; /* 8000 (half a second) are plenty; 0: nothing is kept, `before` may be NULL */
    uint8_t open_db;       /* over the noise to open; 10 */
    uint8_t stay_db;       /* over the noise to stay open; 6. Not more than open_db. */
    uint8_t quietest_db;   /* nothing opens it below so many dB under full scale; 60 */
    uint16_t open_ms;      /* so long in a row before it opens: a knock is no word; 60 */
    uint16_t hold_ms;      /* so long quiet before it shuts; 800 */
    uint16_t longest_ms;   /* open so long without a pause: that is noise, and learnt as such; 30000 */
} earshot_gate_config;

#define EARSHOT_GATE_DEFAULTS(buffer, samples) {(buffer), (samples), 10, 6, 60, 60, 800, 30000}

typedef enum {
    EARSHOT_GATE_SHUT = 0,
    EARSHOT_GATE_OPENS = 1, /* what earshot_gate_before gives is to be sent: this block is the end of it */
    EARSHOT_GATE_OPEN = 2,  /* this block is to be sent */
    EARSHOT_GATE_SHUTS = 3  /* this block is to be sent, and it is the last */
} earshot_gate_said;

typedef struct {
    earshot_gate_config config;
    size_t at, held; /* of `before`: where the next sample goes, and how many there are */
    int32_t noise;   /* of the room, in 256ths of a dB under full scale (so it is negative) */
    uint32_t loud_ms, quiet_ms, open_for_ms;
    uint16_t left_over; /* samples that make no whole millisecond yet */
    uint8_t open, learnt;
} earshot_gate;

/* config is copied; config->before is kept. */
void earshot_gate_init(earshot_gate *gate, const earshot_gate_config *config);

/* What to do with a block of 10 to 60 ms, of any length. */
earshot_gate_said earshot_gate_feed(earshot_gate *gate, const int16_t *samples, size_t count);

/* After EARSHOT_GATE_OPENS and until the next feed: what came before, in two parts, the older first. Returns the
 * samples of both. */
size_t earshot_gate_before(const earshot_gate *gate, const int16_t **older, size_t *older_count, const int16_t **newer,
                           size_t *newer_count);

/* The level of a block in 256ths of a dB, 0 for a square wave at full scale, -96 * 256 for silence. */
int32_t earshot_level(const int16_t *samples, size_t count);

#ifdef __cplusplus
}
#endif

#endif
