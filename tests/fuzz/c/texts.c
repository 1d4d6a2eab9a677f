/* Any replies in any order: texts stay within their buffers, end with a zero, and are cut at characters.
 *
 * Input: how large the buffers are, how many, then replies: flags, which id, how many bytes, and those. */
#include "promises.h"

#include "earshot_texts.h"

static void check(const earshot_texts *texts, size_t capacity)
{
    for (size_t at = 0; at < texts->count; at++) promise(texts->texts[at].length < capacity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const size_t capacity = 1u + data[0], count = data[1] % 9;
    char *buffers = calloc(count ? count : 1, capacity);
    earshot_text entries[8];
    if (!buffers) abort();
    memset(entries, 0, sizeof entries);
    for (size_t at = 0; at < count; at++) {
        entries[at].buffer = buffers + at * capacity;
        entries[at].capacity = capacity;
    }
    earshot_texts texts = {.texts = entries, .count = count, .wants_pieces = data[1] & 128};
    for (size_t at = 2; at + 3 <= size;) {
        const size_t most = size - at - 3, length = data[at + 2] < most ? data[at + 2] : most;
        const earshot_frame frame = {.type = EARSHOT_T_REPLY,
                                     .flags = data[at],
                                     .id = (const char *)data + at + 1,
                                     .id_size = 1,
                                     .text = (const char *)data + at + 3,
                                     .text_size = (uint16_t)length};
        const char *shown = earshot_texts_take(&texts, &frame);
        if (shown) promise(memchr(shown, 0, capacity));
        if (data[at] == 255) earshot_texts_forget(&texts);
        check(&texts, capacity);
        at += 3 + length;
    }
    free(buffers);
    return 0;
}
