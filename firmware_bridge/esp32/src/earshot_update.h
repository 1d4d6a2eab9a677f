/* Firmware over the air (docs/protocol.md, 3.5): a device fetches an image that its gateway offers, starts it on trial,
 * and keeps it only if it reaches the gateway.
 *
 * How it is used, beside a device whose configuration says takes_images, a kind and a firmware:
 *
 *     static earshot_update update;
 *     earshot_update_init(&update, &device, &(earshot_update_config){.number = BUILD_TIME, .port = {...}}, now_ms());
 * // after earshot_init, at each start
 *     // in hear():        earshot_update_hear(&update, frame);
 *     // in the loop:      wait = min(earshot_update_poll(&update, now_ms()), earshot_poll(&device, now_ms()));
 *
 * What is checked, and when. An offer is taken only if its signature is good for this board's kind by the key that was
 * built in; before that nothing is erased or written. What is written is hashed as it is written (or, if the port can
 * read, as it is read back), and only if that is the SHA-256 that was signed is the image handed to the port to be
 * started. An image with a smaller number than that of what runs is declined. An image that was rolled back is not
 * taken again under the same number.
 *
 * What the port keeps in flash. The image, and an earshot_update_memory of some 130 bytes, which `save` writes whole or
 * not at all (an NVS blob is so). Both may be cut off at any moment: whenever the power goes, after the next start
 * either the image before runs, as if nothing had been, or the new one on trial. A fetch that was under way begins
 * anew; only over a lost link does it go on.
 *
 * The trial. `finish` tells the bootloader to start the new image once; it must fall back to the one before by itself
 * if the new one crashes or loses power before `confirm` (ESP-IDF: CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE). An image
 * that runs but is not welcomed by the gateway within trial_ms is sent back by `roll_back`.
 *
 * Who may call what, whose memory, what time is: as in earshot.h; one task for the device and its update. `begin`,
 * `write` and `verify` are called by earshot_update_hear and may take as long as flash takes; nothing is asked for
 * meanwhile. Take care that the carrier's buffer holds some 2 KB then, else it is fetched again. No state of the link
 * is needed: what cannot be said now is said later.
 */
#ifndef EARSHOT_UPDATE_H
#define EARSHOT_UPDATE_H

#include "earshot.h"
#include "earshot_proof.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an update stands on this device. */
typedef enum {
    EARSHOT_UPDATE_NONE = 0, /* nothing to do */
    EARSHOT_UPDATE_FETCHING, /* an offer was taken; some of it may be there */
    EARSHOT_UPDATE_WHOLE,    /* all of it is there and sound; it waits until nobody speaks */
    EARSHOT_UPDATE_STARTING, /* the gateway is being told; `start` follows */
    EARSHOT_UPDATE_TRIAL     /* the new image runs, and has not reached the gateway yet */
} earshot_update_state;

/* What the gateway is told, in UPDATE: its state and its reason. */
enum {
    EARSHOT_U_FETCHING = 1,
    EARSHOT_U_STARTING = 2,
    EARSHOT_U_CONFIRMED = 3,
    EARSHOT_U_DECLINED = 4,
    EARSHOT_U_FAILED = 5,
    EARSHOT_U_ROLLED_BACK = 6
};
typedef enum {
    EARSHOT_U_NONE = 0,
    EARSHOT_U_NOT_NOW = 1,
    EARSHOT_U_SAME_VERSION = 2,
    EARSHOT_U_TOO_LARGE = 3,
    EARSHOT_U_BAD_SIGNATURE = 4,
    EARSHOT_U_BAD_IMAGE = 5,
    EARSHOT_U_STORAGE = 6,
    EARSHOT_U_STALLED = 7,
    EARSHOT_U_NOT_REACHED = 8,
    EARSHOT_U_OLDER = 9
} earshot_update_reason;

/* What is kept over a restart. For the port to save and load as it is; all zero: nothing yet. */
typedef struct {
    uint32_t layout;                       /* EARSHOT_UPDATE_LAYOUT */
    uint32_t phase;                        /* 0: none; 1: whole, not handed over yet; 2: handed over to be started */
    uint32_t from;                         /* which slot ran when it was fetched */
    uint32_t number;                       /* of the image that was fetched */
    uint32_t running_slot, running_number; /* of the last image that was confirmed */
    uint32_t rejected_number;              /* of the last image that was rolled back */
    uint8_t image[32], running[32], rejected[32]; /* their SHA-256s */
} earshot_update_memory;

#define EARSHOT_UPDATE_LAYOUT 0x31555045u /* "EPU1" */

typedef struct {
    void *context; /* handed to all */
    /* Which slot runs now: any number that is another one for each place that an image may be started from (ESP-IDF:
     * the address of the running partition). */
    uint32_t (*running)(void *context);
    /* The most bytes an image may have. */
    uint32_t (*room)(void *context);
    /* Whether this signature (64 bytes, r and s) is good for these bytes (under 200), by the key that was built in:
     * earshot_p256_signed, mbedTLS, the chip. */
    bool (*verify)(void *context, const uint8_t *message, size_t size, const uint8_t *signature);
    /* Make ready for an image of so many bytes in the slot that does not run. May be called again without the one
     * before having been finished. False: it cannot be. */
    bool (*begin)(void *context, uint32_t size);
    /* The next bytes, in order and without gaps. False: they could not be written; the image is given up. */
    bool (*write)(void *context, uint32_t offset, const uint8_t *bytes, size_t size);
    /* What was written. NULL: it cannot be read back, or `finish` looks at it. */
    bool (*read)(void *context, uint32_t offset, uint8_t *bytes, size_t size);
    /* All of it is written and sound: start it at the next start, on trial. Not EARSHOT_U_NONE: it will not be started
     * (BAD_IMAGE, STORAGE). */
    earshot_update_reason (*finish)(void *context);
    /* Restart now. Does not come back on a board; where it does (a test), nothing more may be called but
     * earshot_update_init. */
    void (*start)(void *context);
    /* What runs is to stay. Harmless if it was said before. */
    void (*confirm)(void *context);
    /* Make what ran before run again, and restart. As `start`. Where it cannot be done it returns, and is tried again.
     */
    void (*roll_back)(void *context);
    /* The memory, whole or not at all. load, false: there is none. save, false: it could not be written. */
    bool (*load)(void *context, earshot_update_memory *memory);
    bool (*save)(void *context, const earshot_update_memory *memory);
    /* Whether an image may be taken now (a battery is full enough). NULL: always. */
    bool (*may_take)(void *context);
    /* Whether it may be restarted now. NULL: as soon as no stream is open and the gateway has all frames; a microphone
     * that is always on needs one of its own. */
    bool (*may_start)(void *context);
} earshot_update_port;

typedef struct {
    uint32_t number;   /* of this firmware, as it was (or will be) signed; 0: not known */
    uint32_t trial_ms; /* a new image has so long to be welcomed; 0: three minutes */
    earshot_update_port port;
} earshot_update_config;

typedef struct {
    earshot_update_config config;
    earshot_device *device;
    earshot_update_memory memory;
    uint8_t state;
    bool linked, wanted;     /* the link is up; the gateway has this image to give */
    bool gap_told, verified; /* it was asked anew for a gap; verified_at counts */
    bool tell, tell_at_welcome;
    uint8_t told_state, told_reason;
    uint32_t told_image, told_offset;
    uint32_t size, offset, asked_to;
    uint32_t asked_at, progress_at, due_at, verified_at, now;
    earshot_sha256 hash;
} earshot_update;

/* At each start, after earshot_init. Finds out whether a new image runs on trial, or one was rolled back. The
 * configuration is copied. */
void earshot_update_init(earshot_update *update, earshot_device *device, const earshot_update_config *config,
                         uint32_t now);

/* To be given every frame that `hear` of the device is given: it takes WELCOME, OFFER and IMAGE, and leaves all others
 * alone. */
void earshot_update_hear(earshot_update *update, const earshot_frame *frame);

/* Does what is due, and says when it wants to be called again at the latest, in milliseconds. Before earshot_poll: what
 * it has to say goes out there. */
uint32_t earshot_update_poll(earshot_update *update, uint32_t now);

earshot_update_state earshot_update_where(const earshot_update *update);
/* How much of the image is there: bytes, and of how many (0: none is being fetched). */
uint32_t earshot_update_progress(const earshot_update *update, uint32_t *of);

#ifdef __cplusplus
}
#endif

#endif
