/* hearing.c of the ESP-IDF component as a library for a test: the microphone's side, the link's, and a wake word to
 * order. */
#include "hearing.h"

static earshot_heard last;
static const char *word;

void earshot_wake(void)
{
}

static const char *listen(void *context, const int16_t *samples, size_t count, int16_t *score)
{
    const char *heard = word;
    (void)context;
    (void)samples;
    (void)count;
    word = NULL;
    *score = 77;
    return heard;
}

int jig_open(int codec)
{
    const earshot_esp_config config = {.wake = listen};
    return earshot_coder_open((earshot_codec)codec) || earshot_hearing_open(&config);
}

void jig_say(const char *what)
{
    word = what;
}

/* What comes next out of the queue; -1: nothing. */
int jig_take(void)
{
    return earshot_hearing_take(&last) ? (int)last.what : -1;
}
int jig_samples(void)
{
    return last.samples;
}
int jig_hole(void)
{
    return (int)last.hole;
}
int jig_ends_on_silence(void)
{
    return last.end_on_silence;
}
int jig_score(void)
{
    return last.score;
}
const char *jig_word(void)
{
    return last.word;
}
int jig_size(void)
{
    return last.size;
}
const uint8_t *jig_bytes(void)
{
    return last.bytes;
}
