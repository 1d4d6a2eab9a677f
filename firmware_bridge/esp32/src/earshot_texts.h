/* What to show of the replies that earshot_frame's REPLY carries (docs/protocol.md, 3.3 and 3.4): texts that come in
 * several frames, in pieces, or in place of others. For who has room for whole texts; the caller owns it. */
#ifndef EARSHOT_TEXTS_H
#define EARSHOT_TEXTS_H

#include "earshot.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One text that grows. Set `buffer` and `capacity` (at least 1), the rest to zero. What exceeds the capacity is cut at
 * a character. */
typedef struct {
    char *buffer; /* ended by a zero */
    size_t capacity;
    size_t length;
    uint64_t id;
    uint32_t used; /* when it was used last; 0: it is free */
    bool full;     /* something was cut off: what follows is not shown either */
} earshot_text;

typedef struct {
    earshot_text *texts;
    size_t count;      /* 8 for a device that wants pieces; fewer: the one that grew longest ago makes room */
    bool wants_pieces; /* as in earshot_config */
    uint32_t turn;
} earshot_texts;

/* To be given each REPLY. Returns the text to show now in place of what was shown under this correlation id; NULL:
 * nothing new. Holds until the next call. */
const char *earshot_texts_take(earshot_texts *texts, const earshot_frame *reply);

/* To be called at a WELCOME that says `anew`. */
void earshot_texts_forget(earshot_texts *texts);

#ifdef __cplusplus
}
#endif

#endif
