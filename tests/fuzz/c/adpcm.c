/* Any payload is decoded within its bounds; any samples are coded to a payload that holds them, and that decodes near
 * them. */
#include "promises.h"

#include "earshot_adpcm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    int16_t *out = malloc(size > 4 ? 4 * (size - 4) : 1), *samples = malloc(size ? size : 1);
    if (!out || !samples) abort();
    const size_t decoded = earshot_adpcm_decode(data, size, out);
    promise(decoded == (size < 4 || data[2] > 88 ? 0 : 2 * (size - 4)));
    const size_t count = size / 4 * 2;
    uint8_t *payload = malloc(EARSHOT_ADPCM_SIZE(count));
    int16_t *again = malloc(count ? 2 * count : 1);
    if (!payload || !again) abort();
    memcpy(samples, data, 2 * count);
    earshot_adpcm encoder = {0}, before;
    for (int turn = 0; turn < 2; turn++) {
        before = encoder;
        promise(earshot_adpcm_encode(&encoder, samples, count, payload) == EARSHOT_ADPCM_SIZE(count));
        promise(earshot_adpcm_decode(payload, EARSHOT_ADPCM_SIZE(count), again) == count);
        promise(encoder.index <= 88 && before.index == payload[2]);
        if (count) promise(encoder.predictor == again[count - 1]); /* both have come to the same */
    }
    free(out);
    free(samples);
    free(payload);
    free(again);
    return 0;
}
