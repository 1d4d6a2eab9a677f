/* A microphone on a task of its own: I2S or PDM in, 16 kHz mono samples out, 20 ms at a time. The component uses it; so
 * may you, without the rest (examples/serial_push_to_talk does).
 */
#ifndef EARSHOT_MICROPHONE_H
#define EARSHOT_MICROPHONE_H

#include <stddef.h>
#include <stdint.h>

#include "earshot_boards.h"
#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EARSHOT_RATE 16000
#define EARSHOT_BLOCK 320 /* samples of a block: 20 ms */

typedef struct {
    const earshot_board *board; /* NULL: the one that Kconfig chose */
    /* In the microphone's task, every 20 ms. It has 100 ms until samples are lost (and counted); the samples are the
     * microphone's until it returns. */
    void (*heard)(void *context, const int16_t *samples, size_t count);
    void *context;
    uint32_t stack; /* bytes for the task, what `heard` needs included; 0: 4096 */
} earshot_microphone_config;

typedef struct {
    uint32_t samples;  /* since it was started; wraps */
    uint32_t clipped;  /* samples at the end of the scale */
    uint32_t overruns; /* buffers of 20 ms that nobody fetched in time */
    int32_t drift_ppm; /* how much faster its clock goes than the chip's, over all of the time; 0 in the first 10 s */
    uint16_t peak;     /* the largest sample since this was last asked */
} earshot_microphone_counts;

/* Once. ESP_ERR_NOT_SUPPORTED: this chip cannot do this board's microphone. Other errors are the driver's. */
esp_err_t earshot_microphone_start(const earshot_microphone_config *config);

/* Any task. */
void earshot_microphone_counted(earshot_microphone_counts *counts);

/* The row of earshot_boards.h, or what Kconfig says of another board. */
const earshot_board *earshot_this_board(void);

#ifdef __cplusplus
}
#endif

#endif
