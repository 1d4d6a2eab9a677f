#include "earshot_texts.h"

static uint64_t hashed(const char *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    while (size--) hash = (hash ^ (uint8_t)*bytes++) * UINT64_C(0x100000001b3);
    return hash;
}

/* The text of a correlation id: its own, a free one, or the one that was used longest ago. */
static earshot_text *text_of(earshot_texts *texts, uint64_t id)
{
    earshot_text *oldest = &texts->texts[0];
    for (size_t at = 0; at < texts->count; at++) {
        earshot_text *text = &texts->texts[at];
        if (text->used && text->id == id) return text;
        if (text->used < oldest->used) oldest = text;
    }
    oldest->length = 0;
    oldest->full = false;
    oldest->id = id;
    return oldest;
}

static void grow(earshot_text *text, const char *more, size_t size)
{
    const size_t room = text->capacity - 1 - text->length;
    if (text->full) return;
    if (size > room) {
        text->full = true;
        size = room;
        while (size && ((uint8_t)more[size] & 0xc0) == 0x80) size--;
    }
    memcpy(text->buffer + text->length, more, size);
    text->length += size;
}

const char *earshot_texts_take(earshot_texts *texts, const earshot_frame *reply)
{
    if (!texts->count) return NULL;
    earshot_text *text = text_of(texts, hashed(reply->id, reply->id_size));
    if (reply->flags & EARSHOT_WHOLE) {
        text->length = 0;
        text->full = false;
    }
    grow(text, reply->text, reply->text_size);
    text->buffer[text->length] = 0;
    const bool goes_on = reply->flags & EARSHOT_CONTINUED || (texts->wants_pieces && !(reply->flags & EARSHOT_FINAL));
    text->used = goes_on ? ++texts->turn : 0;
    return reply->flags & EARSHOT_CONTINUED ? NULL : text->buffer;
}

void earshot_texts_forget(earshot_texts *texts)
{
    for (size_t at = 0; at < texts->count; at++) texts->texts[at].used = 0;
}
