/* From what a microphone's I2S slots hold to what Earshot takes: signed 16-bit samples, one channel.
 *
 * Microphones put 16 or 24 bits at the top of a slot of 16 or 32, in the left slot, the right one or both, around a
 * level that is seldom zero. Here they become one channel; the offset is taken out (a high-pass at 2.5 Hz, for
 * samples at 16 kHz), the gain put in, and samples at the end of the scale are counted.
 *
 * Any task, not from two at once. Nothing is kept but what is in the object; nothing is allocated.
 */
#ifndef EARSHOT_SLOTS_H
#define EARSHOT_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EARSHOT_SLOT_LEFT = 0, /* the only one, too, where there is one */
    EARSHOT_SLOT_RIGHT = 1,
    EARSHOT_SLOT_BOTH = 2 /* their mean: two microphones that hear the same */
} earshot_slot;

typedef struct {
    uint8_t width;     /* bits of a slot in memory: 16 or 32; what the microphone says is at its top */
    uint8_t slots;     /* slots of a frame in memory: 1 or 2 */
    uint8_t take;      /* earshot_slot */
    uint8_t gain_bits; /* the sample is doubled so often, 0 to 6: an INMP441 wants 3, a PDM microphone 1 or 2 */
} earshot_slots_config;

typedef struct {
    earshot_slots_config config;
    int32_t offset;   /* of the microphone, in 24-bit samples, times 64 */
    uint32_t clipped; /* samples at the end of the scale, since earshot_slots_init */
    uint16_t peak;    /* the largest sample, without its sign, since it was last set to 0 by its reader */
} earshot_slots;

/* config is copied. What is out of range is taken as the nearest that is not. */
void earshot_slots_init(earshot_slots *slots, const earshot_slots_config *config);

/* frames: how many slots of one channel `in` holds. `out` takes as many samples; it may be `in` itself. */
void earshot_slots_convert(earshot_slots *slots, const void *in, int16_t *out, size_t frames);

#ifdef __cplusplus
}
#endif

#endif
