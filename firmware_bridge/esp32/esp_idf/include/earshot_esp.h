/* Earshot on an ESP32 with ESP-IDF: a microphone, a button, a light and a carrier around the library in
 * ../src/earshot.h.
 *
 *     static void heard(void *context, const char *id, const char *text) { printf("you said: %s\n", text); }
 *
 *     void app_main(void) { ESP_ERROR_CHECK(earshot_esp_start(&(earshot_esp_config){.transcript = heard})); }
 *
 * Pins, codec, carrier and what starts a stretch of audio come from Kconfig ("Earshot"), names and passwords from NVS
 * (docs/flashing.md). What it makes: a task that owns the link (it alone touches the library's object), one for the
 * microphone, one for the light, one that sends where the carrier is a network's. All callbacks come from the link's
 * task, except `wake`, which comes from the microphone's; they must not wait: while they do, audio piles up (a second
 * of it).
 */
#ifndef EARSHOT_ESP_H
#define EARSHOT_ESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "earshot.h"
#include "earshot_led.h"
#include "earshot_microphone.h"
#include "earshot_settings.h"
#include "earshot_update.h"
#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    void *context; /* handed to all of them; each may be NULL */

    /* What was said. Texts end with a zero and hold until the return. */
    void (*transcript)(void *context, const char *id, const char *text);
    /* What is understood so far; its first `stable` bytes will not change. With it the gateway is asked for partial
     * texts. */
    void (*partial)(void *context, const char *text, size_t stable);
    /* The answer, all of it so far: shown in place of what was shown under this id. final: for good. failed: it says
     * that something went wrong. 2 KiB of it are kept; what is longer is cut. */
    void (*reply)(void *context, const char *id, const char *text, bool final, bool failed);
    /* Audio for a loudspeaker, as frames of types EARSHOT_T_SPEECH_START, _SPEECH and _SPEECH_STOP. No gateway sends
     * any yet. */
    void (*speech)(void *context, const earshot_frame *frame);
    /* What is going on has changed; it is what the light shows. */
    void (*state)(void *context, earshot_light light);
    /* Any frame, before the others are called. */
    void (*frame)(void *context, const earshot_frame *frame);

    /* The wake hook (Kconfig: "after a wake word"): hears every 20 ms, says the word where it ends in them (a text that
     * stays), and its score, 0 to 32767; else NULL. What is said behind it is sent until the gateway has heard its end,
     * 15 s at most. esp-sr's WakeNet and microWakeWord fit in here; examples/mqtt_always_on shows the first. */
    const char *(*wake)(void *context, const int16_t *samples, size_t count, int16_t *score);

    /* Whether an image over the air may be taken now (a battery is full enough), and whether the board may be restarted
     * into it. NULL: always, and as soon as nobody speaks; a microphone of one's own that never stops needs
     * may_restart. */
    bool (*may_take)(void *context);
    bool (*may_restart)(void *context);

    const char *firmware;       /* name and version; NULL: "earshot" and the library's. An image is known by it, too */
    const char *kind;           /* which images over the air are for it; NULL: it takes none (docs/protocol.md, 3.5) */
    uint32_t number;            /* of this image, as it was signed: no smaller one is taken; 0: not known */
    bool own_microphone;        /* no capture: the application calls earshot_esp_hear */
    const earshot_board *board; /* NULL: the one that Kconfig chose */
} earshot_esp_config;

/* Once. The configuration is copied. ESP_ERR_NO_MEM, ESP_ERR_NOT_SUPPORTED (NVS names a carrier that is not in this
 * firmware), what drivers say. A board that does not know its Wi-Fi or its gateway yet starts, and waits to be told. */
esp_err_t earshot_esp_start(const earshot_esp_config *config);

/* Begins or ends a stretch of audio, as the button does. Any task. */
void earshot_esp_talk(bool talk);

/* Samples of a microphone of one's own (own_microphone), 16 kHz mono, any count. One task, which needs the stack of the
 * coder. */
void earshot_esp_hear(const int16_t *samples, size_t count);

/* A line of the device's log at the gateway. `level`: syslog's, 0 to 7. Any task; 120 bytes of it. */
void earshot_esp_log(uint8_t level, const char *text);

/* Where an image over the air stands, and how much of it is there. Any task; a moment ago. */
earshot_update_state earshot_esp_update(uint32_t *bytes, uint32_t *of);

/* What it read from NVS: for the application to show. Holds for ever. */
const earshot_settings *earshot_esp_settings(void);

/* The library's counters, of a moment ago. Any task. */
void earshot_esp_counted(earshot_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
