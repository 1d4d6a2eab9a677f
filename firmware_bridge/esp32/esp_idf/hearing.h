/* From the microphone's samples to what the link sends: when a stretch of audio begins and ends, and its coded frames.
 * It works in the microphone's task and fills a queue, from which the link's task takes.
 */
#ifndef EARSHOT_HEARING_H
#define EARSHOT_HEARING_H

#include "coder.h"
#include "earshot_esp.h"

typedef struct {
    enum { EARSHOT_HEARD_START, EARSHOT_HEARD_AUDIO, EARSHOT_HEARD_STOP, EARSHOT_HEARD_WORD } what;
    bool end_on_silence; /* START */
    int16_t score;       /* WORD */
    const char *word;
    uint32_t hole; /* AUDIO: samples that found no room in the queue before these */
    uint16_t samples, size;
    uint8_t bytes[EARSHOT_CODED_MOST];
} earshot_heard;

/* Once, after earshot_coder_open. */
esp_err_t earshot_hearing_open(const earshot_esp_config *config);

/* In the microphone's task. */
void earshot_hearing_feed(const int16_t *samples, size_t count);

/* In the link's task: the next thing heard, if there is one. */
bool earshot_hearing_take(earshot_heard *heard);

/* Any task: push to talk, or as if the wake word had been heard. */
void earshot_hearing_talk(bool talk);

/* Any task: the gateway has heard the end of it (after a wake word). */
void earshot_hearing_over(void);

/* Samples that found no room in the queue. */
uint32_t earshot_hearing_lost(void);

#endif
