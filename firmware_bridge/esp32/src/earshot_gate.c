#include "earshot_gate.h"

#include <string.h>

#define DB 256 /* what is in dB counts in these parts */
#define SILENCE (-96 * DB)
#define SAMPLES_PER_MS 16
#define NOISE_RISES_PER_S (3 * DB) /* while it is shut; half of it while it is open */
#define DB_OF_AN_OCTAVE 771        /* 10 * log10(2), in 256ths */

/* The logarithm to the base of two, in 256ths, straight between the powers of two: right within 0.09 octaves. */
static int32_t octaves(uint64_t value)
{
    int32_t whole = 0;
    while (value >> (whole + 1)) {
        whole++;
    }
    uint64_t rest = value - ((uint64_t)1 << whole);
    return whole * 256 + (int32_t)((rest << 8) >> whole);
}

int32_t earshot_level(const int16_t *samples, size_t count)
{
    uint64_t energy = 0;
    for (size_t i = 0; i < count; i++) {
        energy += (uint64_t)((int32_t)samples[i] * samples[i]);
    }
    if (!count || !energy) {
        return SILENCE;
    }
    int32_t under_full_scale = octaves(energy) - octaves(count) - 30 * 256;
    int32_t level = under_full_scale * DB_OF_AN_OCTAVE / 256;
    return level > 0 ? 0 : level < SILENCE ? SILENCE : level;
}

void earshot_gate_init(earshot_gate *gate, const earshot_gate_config *config)
{
    memset(gate, 0, sizeof *gate);
    gate->config = *config;
    if (config->stay_db > config->open_db) {
        gate->config.stay_db = config->open_db;
    }
    if (!config->before) {
        gate->config.before_samples = 0;
    }
}

static void keep(earshot_gate *gate, const int16_t *samples, size_t count)
{
    size_t room = gate->config.before_samples;
    if (count > room) {
        samples += count - room;
        count = room;
    }
    for (size_t i = 0; i < count; i++) {
        gate->config.before[gate->at] = samples[i];
        gate->at = (gate->at + 1) % room;
    }
    gate->held = gate->held + count > room ? room : gate->held + count;
}

size_t earshot_gate_before(const earshot_gate *gate, const int16_t **older, size_t *older_count, const int16_t **newer,
                           size_t *newer_count)
{
    int wrapped = gate->held == gate->config.before_samples;
    size_t begin = wrapped ? gate->at : 0;
    *older = gate->config.before ? gate->config.before + begin : NULL;
    *older_count = gate->held - (wrapped ? gate->at : 0);
    *newer = gate->config.before;
    *newer_count = wrapped ? gate->at : 0;
    return gate->held;
}

/* The room is as quiet as its quietest moments, and slowly as loud as it is. */
static void learn(earshot_gate *gate, int32_t level, uint32_t ms)
{
    if (!gate->learnt) {
        gate->noise = level;
        gate->learnt = 1;
    }
    int32_t rise = (int32_t)(ms * (gate->open ? NOISE_RISES_PER_S / 2 : NOISE_RISES_PER_S) / 1000);
    if (level < gate->noise) {
        gate->noise += (level - gate->noise) / 2;
    } else {
        gate->noise += level - gate->noise < rise ? level - gate->noise : rise;
    }
}

static int is_over(const earshot_gate *gate, int32_t level, uint8_t db)
{
    return level > gate->noise + db * DB && level > -(int32_t)gate->config.quietest_db * DB;
}

static uint32_t milliseconds(earshot_gate *gate, size_t count)
{
    size_t all = gate->left_over + count;
    gate->left_over = (uint16_t)(all % SAMPLES_PER_MS);
    return (uint32_t)(all / SAMPLES_PER_MS);
}

static earshot_gate_said while_shut(earshot_gate *gate, int32_t level, uint32_t ms)
{
    gate->loud_ms = is_over(gate, level, gate->config.open_db) ? gate->loud_ms + ms : 0;
    if (!gate->loud_ms || gate->loud_ms < gate->config.open_ms) {
        return EARSHOT_GATE_SHUT;
    }
    gate->open = 1;
    gate->quiet_ms = gate->open_for_ms = 0;
    return EARSHOT_GATE_OPENS;
}

static earshot_gate_said while_open(earshot_gate *gate, int32_t level, uint32_t ms)
{
    gate->quiet_ms = is_over(gate, level, gate->config.stay_db) ? 0 : gate->quiet_ms + ms;
    gate->open_for_ms = gate->quiet_ms ? 0 : gate->open_for_ms + ms;
    int is_noise = gate->config.longest_ms && gate->open_for_ms >= gate->config.longest_ms;
    if (!is_noise && gate->quiet_ms < gate->config.hold_ms) {
        return EARSHOT_GATE_OPEN;
    }
    if (is_noise) {
        gate->noise = level;
    }
    gate->open = 0;
    gate->loud_ms = 0;
    gate->held = gate->at = 0; /* it was sent */
    return EARSHOT_GATE_SHUTS;
}

earshot_gate_said earshot_gate_feed(earshot_gate *gate, const int16_t *samples, size_t count)
{
    int32_t level = earshot_level(samples, count);
    uint32_t ms = milliseconds(gate, count);
    learn(gate, level, ms);
    if (gate->open) {
        return while_open(gate, level, ms);
    }
    keep(gate, samples, count);
    return while_shut(gate, level, ms);
}
