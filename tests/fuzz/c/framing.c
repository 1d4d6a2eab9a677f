/* Any bytes as a block between two delimiters, and any bytes as a frame: nothing is read or written outside, and what
 * was stuffed comes back, whole or group by group. */
#include "promises.h"

#include "earshot_framing.h"

/* In memory of just their size, so that a byte beyond it is found. */
static uint8_t *copied(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    return copy;
}

static void any_block(const uint8_t *data, size_t size)
{
    uint8_t *block = copied(data, size);
    const uint8_t *frame = NULL;
    const size_t length = earshot_unstuff(block, size, &frame);
    promise(length <= size && (!length || (frame >= block && frame + length <= block + size)));
    free(block);
}

static void there_and_back(const uint8_t *data, size_t size)
{
    uint8_t *out = malloc(EARSHOT_STUFFED(size + 4)), *groups = malloc(EARSHOT_STUFFED(size + 4) + 257),
            *group = malloc(257);
    const uint8_t *frame = NULL;
    if (!out || !groups || !group) abort();
    const size_t length = earshot_stuff(out, data, size);
    promise(length <= EARSHOT_STUFFED(size + 4) && !out[length - 1] && !memchr(out, 0, length - 1));
    size_t written = 0;
    uint16_t at = 0;
    while (at <= size + 4) {
        const size_t more = earshot_stuff_group(group, data, size, earshot_crc32(0, data, size), &at);
        promise(more <= 257);
        memcpy(groups + written, group, more);
        written += more;
    }
    promise(written == length && !memcmp(groups, out, length) && at == size + 5);
    promise(earshot_unstuff(out, length - 1, &frame) == size && (!size || !memcmp(frame, data, size)));
    free(out);
    free(groups);
    free(group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) return 0;
    any_block(data, size);
    there_and_back(data, size);
    return 0;
}
