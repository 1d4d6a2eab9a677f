#include "earshot_slots.h"

#include <string.h>

#define OFFSET_SHIFT 10 /* of a sample's distance a 1024th goes into the offset: 2.5 Hz at 16 kHz */
#define OFFSET_POINT 6
#define FULL_SCALE 0x7fff00 /* of 24 bits; a microphone of 16 says no more than this */

void earshot_slots_init(earshot_slots *slots, const earshot_slots_config *config)
{
    memset(slots, 0, sizeof *slots);
    slots->config = *config;
    slots->config.width = config->width > 16 ? 32 : 16;
    slots->config.slots = config->slots > 1 ? 2 : 1;
    slots->config.take = config->slots > 1 && config->take <= EARSHOT_SLOT_BOTH ? config->take : EARSHOT_SLOT_LEFT;
    slots->config.gain_bits = config->gain_bits > 6 ? 6 : config->gain_bits;
}

/* One slot as 24 bits with a sign. It is copied out: what is in a DMA buffer is of no type yet. */
static int32_t slot(const earshot_slots *slots, const uint8_t *in, size_t number)
{
    if (slots->config.width == 16) {
        int16_t narrow;
        memcpy(&narrow, in + number * sizeof narrow, sizeof narrow);
        return (int32_t)narrow * 256;
    }
    int32_t wide;
    memcpy(&wide, in + number * sizeof wide, sizeof wide);
    return wide / 256;
}

static int32_t one_channel(const earshot_slots *slots, const uint8_t *in, size_t frame)
{
    if (slots->config.slots == 1) {
        return slot(slots, in, frame);
    }
    if (slots->config.take != EARSHOT_SLOT_BOTH) {
        return slot(slots, in, 2 * frame + slots->config.take);
    }
    return (slot(slots, in, 2 * frame) + slot(slots, in, 2 * frame + 1)) / 2;
}

static int32_t without_offset(earshot_slots *slots, int32_t sample)
{
    int32_t away = sample - slots->offset / (1 << OFFSET_POINT);
    slots->offset += away / (1 << (OFFSET_SHIFT - OFFSET_POINT));
    return away;
}

static int16_t scaled(earshot_slots *slots, int32_t sample, int clips)
{
    int32_t loud = sample * (1 << slots->config.gain_bits) / 256;
    if (loud > INT16_MAX || loud < INT16_MIN || clips) {
        slots->clipped++;
    }
    int16_t out = (int16_t)(loud > INT16_MAX ? INT16_MAX : loud < INT16_MIN ? INT16_MIN : loud);
    uint16_t size = (uint16_t)(out < 0 ? -(int32_t)out : out);
    if (size > slots->peak) {
        slots->peak = size;
    }
    return out;
}

void earshot_slots_convert(earshot_slots *slots, const void *in, int16_t *out, size_t frames)
{
    for (size_t frame = 0; frame < frames; frame++) {
        int32_t sample = one_channel(slots, in, frame);
        int clips = sample >= FULL_SCALE || sample <= -FULL_SCALE;
        out[frame] = scaled(slots, without_offset(slots, sample), clips);
    }
}
