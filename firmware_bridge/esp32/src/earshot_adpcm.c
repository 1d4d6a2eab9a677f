#include "earshot_adpcm.h"

/* https://www.cs.columbia.edu/~hgs/audio/dvi/IMA_ADPCM.pdf */
enum { STATE = 4, LAST = 88 };

static const int16_t STEPS[LAST + 1] = {
    7,    8,     9,     10,    11,    12,    13,    14,    16,    17,    19,    21,    23,    25,    28,
    31,   34,    37,    41,    45,    50,    55,    60,    66,    73,    80,    88,    97,    107,   118,
    130,  143,   157,   173,   190,   209,   230,   253,   279,   307,   337,   371,   408,   449,   494,
    544,  598,   658,   724,   796,   876,   963,   1060,  1166,  1282,  1411,  1552,  1707,  1878,  2066,
    2272, 2499,  2749,  3024,  3327,  3660,  4026,  4428,  4871,  5358,  5894,  6484,  7132,  7845,  8630,
    9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
};
static const int8_t SHIFTS[8] = {-1, -1, -1, -1, 2, 4, 6, 8};

/* Takes a code: the next sample, and the step after it. */
static int16_t move(earshot_adpcm *state, unsigned code)
{
    const int32_t step = STEPS[state->index];
    int32_t difference = step >> 3;
    if (code & 4) difference += step;
    if (code & 2) difference += step >> 1;
    if (code & 1) difference += step >> 2;
    int32_t sample = state->predictor + (code & 8 ? -difference : difference);
    if (sample > INT16_MAX) sample = INT16_MAX;
    if (sample < INT16_MIN) sample = INT16_MIN;
    const int index = state->index + SHIFTS[code & 7];
    state->index = (uint8_t)(index < 0 ? 0 : index > LAST ? LAST : index);
    state->predictor = (int16_t)sample;
    return state->predictor;
}

/* The code that comes nearest to a sample from below. */
static unsigned code_of(const earshot_adpcm *state, int16_t sample)
{
    int32_t left = (int32_t)sample - state->predictor, step = STEPS[state->index];
    unsigned code = 0;
    if (left < 0) {
        code = 8;
        left = -left;
    }
    for (unsigned bit = 4; bit; bit >>= 1, step >>= 1) {
        if (left < step) continue;
        code |= bit;
        left -= step;
    }
    return code;
}

size_t earshot_adpcm_encode(earshot_adpcm *state, const int16_t *samples, size_t count, uint8_t *out)
{
    out[0] = (uint8_t)(state->predictor & 255);
    out[1] = (uint8_t)((uint16_t)state->predictor >> 8);
    out[2] = state->index;
    out[3] = 0;
    for (size_t at = 0; at + 1 < count; at += 2) {
        const unsigned low = code_of(state, samples[at]);
        move(state, low);
        const unsigned high = code_of(state, samples[at + 1]);
        move(state, high);
        out[STATE + at / 2] = (uint8_t)(low | high << 4);
    }
    return EARSHOT_ADPCM_SIZE(count);
}

size_t earshot_adpcm_decode(const uint8_t *payload, size_t size, int16_t *out)
{
    if (size < STATE || payload[2] > LAST) return 0;
    earshot_adpcm state = {(int16_t)(uint16_t)(payload[0] | payload[1] << 8), payload[2]};
    for (size_t at = STATE; at < size; at++) {
        *out++ = move(&state, payload[at] & 15u);
        *out++ = move(&state, payload[at] >> 4);
    }
    return 2 * (size - STATE);
}
