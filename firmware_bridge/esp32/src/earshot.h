/* Earshot: the device's end of a link to a speech gateway, in C99. This header is the library's specification.
 *
 * What it is: everything of docs/protocol.md (version 1) that a device needs. Frames, their numbers, a ring that keeps
 * what was said until the gateway calls it durable, sending again, resuming on another carrier or after the gateway's
 * or the cable's death, credit both ways, replies once and in order. It allocates nothing, waits for nothing, has no
 * variables of its own, needs three standard headers, and knows time only as the number it is told.
 *
 * How it is used:
 *
 *     static earshot_device device;
 *     static uint8_t ring[64 * EARSHOT_SLOT(640)];             // 64 frames of 20 ms of PCM16: 1.3 s
 *     earshot_init(&device, &(earshot_config){
 *         .id = "kitchen", .boot = esp_random(), .ring = ring, .ring_size = sizeof ring, .frame_size = 640,
 *         .port = {.context = NULL, .write = uart_take, .hear = heard}});
 *     earshot_carrier_up(&device, EARSHOT_SERIAL, now_ms());
 *     for (;;) {
 *         earshot_receive(&device, bytes, size, now_ms());     // whatever the UART had
 *         if (pressed) earshot_start(&device, false, &stream);
 *         if (recorded) earshot_audio(&device, stream, EARSHOT_PCM16, pcm, 640, 320);
 *         if (released) earshot_stop(&device, stream);
 *         wait_at_most(earshot_poll(&device, now_ms()));       // for bytes, audio or the button
 *     }
 *
 * Who may call what. No function is to be called from an interrupt, nor by two tasks at once: one task owns a device,
 * or a lock does. An interrupt hands its samples to that task (a FreeRTOS stream buffer, a DMA descriptor). Functions
 * of different devices are independent. Out of `hear` everything may be called except earshot_init, earshot_carrier_up,
 * earshot_carrier_lost, earshot_receive and earshot_poll; out of `write` nothing.
 *
 * Whose memory. The device object, the ring, and the texts and the key in the configuration are the caller's, and must
 * live as long as the device is used; the configuration itself is copied. What earshot_audio and the other functions
 * are given is copied before they return. What `hear` and `write` are given is the library's and holds until they
 * return. The object's fields are not part of the interface.
 *
 * Time. `now` is in milliseconds, of any beginning, never goes back, and wraps at 2^32. Only functions with a `now`
 * notice that it passes; they must not be further apart than 2^31 ms.
 *
 * Memory besides the ring: sizeof(earshot_device), under 4 KiB with the sizes below; some 300 bytes of stack.
 */
#ifndef EARSHOT_H
#define EARSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EARSHOT_VERSION "0.1.0"

/* -- Sizes. Define others for the whole build, where these do not fit. */

/* The largest payload taken from the gateway, in bytes: 64 to 2048; longer texts come in several frames. */
#ifndef EARSHOT_MTU
#define EARSHOT_MTU 1024
#endif
/* Numbered frames that the gateway may send ahead: 1 to 256. */
#ifndef EARSHOT_CREDIT
#define EARSHOT_CREDIT 8
#endif
/* Bytes for LOG, PING, PONG and others that are said once, while the carrier takes no more: 64 to 32768. */
#ifndef EARSHOT_OUTBOX
#define EARSHOT_OUTBOX 512
#endif
#define EARSHOT_STREAMS 4     /* stretches of audio that may be open at a time */
#define EARSHOT_REMEMBERED 32 /* correlation ids, of transcripts and of ended replies each, known to have been had */
#define EARSHOT_HEADER 20     /* bytes of a frame's header */
#define EARSHOT_PAYLOAD 2048  /* bytes of a frame's payload at most */
#define EARSHOT_TEXT 64       /* characters of an id, a firmware's or a kind's name at most */
#define EARSHOT_KEY 32        /* bytes of a device's key */

/* What a frame takes in the ring. `frame_size`: bytes of audio in a frame, at most (earshot_config). */
#define EARSHOT_SLOT(frame_size) ((4u + EARSHOT_HEADER + (frame_size) + 3u) & ~3u)

/* -- What functions answer. After each but EARSHOT_OK the device is as before, except where it is said. */

typedef enum {
    EARSHOT_OK = 0,
    EARSHOT_BAD_CONFIG, /* earshot_init: an id, a text, a size or a pointer that cannot be; the device must not be used
                         */
    EARSHOT_BAD_ARGUMENT, /* a size, a codec or a pointer that cannot be */
    EARSHOT_NO_STREAM,    /* this stream is not open */
    EARSHOT_MANY_STREAMS, /* EARSHOT_STREAMS are open, or wait for room in the ring */
    EARSHOT_OVERRUN, /* the ring is full of what the gateway has not got: the audio is lost and counted, its samples
                        too, and the stream goes on behind a hole. A notice is lost and counted */
    EARSHOT_FULL     /* the outbox is full: what was to be said once is lost and counted */
} earshot_result;

/* Where the link stands (docs/protocol.md, 4.1). */
typedef enum {
    EARSHOT_OFFLINE = 0, /* no carrier; streams may be begun and go on, the ring fills */
    EARSHOT_GREETING,    /* saying HELLO */
    EARSHOT_LINKED,
    EARSHOT_REFUSED /* the gateway does not want us; HELLO again in 10 s (1 s if it was shutting down) */
} earshot_state;

typedef enum {
    EARSHOT_SERIAL,  /* a stream of bytes: UART, USB; frames are stuffed, checked and delimited (2.1) */
    EARSHOT_MESSAGES /* a frame is a message: MQTT, WebSocket (2.2, 2.3) */
} earshot_carrier;

typedef enum { EARSHOT_PCM16 = 0, EARSHOT_IMA_ADPCM = 1, EARSHOT_OPUS = 2 } earshot_codec;
typedef enum { EARSHOT_BUTTON = 1, EARSHOT_WAKE_WORD = 2, EARSHOT_LEVEL = 3 } earshot_notice;

/* What STATUS frames say. */
enum { EARSHOT_IDLE, EARSHOT_LISTENING, EARSHOT_TRANSCRIBING, EARSHOT_THINKING, EARSHOT_BUSY, EARSHOT_ERROR };

/* Types of frames (3.2). */
enum {
    EARSHOT_T_HELLO = 0x01,
    EARSHOT_T_WELCOME = 0x02,
    EARSHOT_T_CHALLENGE = 0x03,
    EARSHOT_T_OFFER = 0x04,
    EARSHOT_T_FETCH = 0x05,
    EARSHOT_T_IMAGE = 0x06,
    EARSHOT_T_UPDATE = 0x07,
    EARSHOT_T_AUDIO_START = 0x10,
    EARSHOT_T_AUDIO = 0x11,
    EARSHOT_T_AUDIO_STOP = 0x12,
    EARSHOT_T_EVENT = 0x13,
    EARSHOT_T_STATUS = 0x20,
    EARSHOT_T_PARTIAL = 0x21,
    EARSHOT_T_TRANSCRIPT = 0x22,
    EARSHOT_T_REPLY = 0x23,
    EARSHOT_T_SPEECH_START = 0x24,
    EARSHOT_T_SPEECH = 0x25,
    EARSHOT_T_SPEECH_STOP = 0x26,
    EARSHOT_T_ACK = 0x30,
    EARSHOT_T_PING = 0x31,
    EARSHOT_T_PONG = 0x32,
    EARSHOT_T_LOG = 0x3E,
    EARSHOT_T_FAULT = 0x3F
};

/* Flags of a REPLY (3.3, 3.4), and of SPEECH as of AUDIO. */
enum { EARSHOT_FINAL = 2, EARSHOT_FALLBACK = 4, EARSHOT_FAILED = 8, EARSHOT_CONTINUED = 16, EARSHOT_WHOLE = 32 };

/* Codes of a FAULT (3.3). */
enum {
    EARSHOT_F_SAY_HELLO = 1,
    EARSHOT_F_UNSUPPORTED_VERSION = 2,
    EARSHOT_F_DUPLICATE_ID = 6,
    EARSHOT_F_BAD_ID = 7,
    EARSHOT_F_REFUSED = 8,
    EARSHOT_F_BAD_AUDIO = 9,
    EARSHOT_F_SHUTTING_DOWN = 11
};

/* -- The port: the two functions by which the library reaches the world. */

/* A frame for the device's owner, checked and, where the gateway numbers it, in order and once, over restarts of the
 * gateway too: WELCOME (linked), STATUS, PARTIAL, TRANSCRIPT, REPLY, FAULT (that was for us), OFFER, IMAGE, and
 * numbered types of later gateways. Texts are UTF-8, not ended by a zero. */
typedef struct {
    uint8_t type;
    uint8_t flags;      /* REPLY: EARSHOT_FINAL and others */
    uint16_t stream;    /* what it is about; 0: the device */
    uint32_t timestamp; /* SPEECH: the position in samples */
    uint8_t code;       /* STATUS: what; FAULT: why */
    bool anew;          /* WELCOME: replies that have begun are told from their beginning (earshot_texts_forget) */
    uint16_t stable;    /* PARTIAL: so many bytes of the text will not change */
    const char *id;     /* TRANSCRIPT, REPLY: the correlation id, ASCII */
    uint8_t id_size;
    const char *text; /* PARTIAL, TRANSCRIPT, REPLY, FAULT */
    uint16_t text_size;
    const uint8_t *payload; /* all of the payload, of any type */
    uint16_t size;
} earshot_frame;

typedef struct {
    void *context; /* handed to both */
    /* Takes bytes for the carrier and says how many it took, without waiting. EARSHOT_SERIAL: any number; the rest
     * comes again at the next earshot_poll. EARSHOT_MESSAGES: a whole frame, all of it or nothing (0). Is called by
     * earshot_poll only. */
    size_t (*write)(void *context, const uint8_t *bytes, size_t size);
    /* A frame for you. May be NULL. Is called by earshot_receive only. */
    void (*hear)(void *context, const earshot_frame *frame);
} earshot_port;

typedef struct {
    const char *id;       /* 1 to 64 of A-Z a-z 0-9 _ -, single dots between */
    uint32_t boot;        /* from the hardware's random numbers, at each power-on another */
    const char *firmware; /* name and version for people; NULL: none. Here and in `kind`: 64 printable ASCII characters
                             at most, without " and \ */
    const char *kind;     /* which firmware images are for this board; NULL: none */
    uint8_t *ring; /* ring_size bytes, aligned to 4; internal RAM or PSRAM. ring_size / EARSHOT_SLOT(frame_size) frames,
                      at least 4 */
    size_t ring_size;
    uint16_t
        frame_size; /* the most bytes of audio in one frame, 16 to 2048: 640 for 20 ms of PCM16, 164 of IMA ADPCM */
    bool wants_partials; /* PARTIAL frames while somebody speaks */
    bool wants_pieces;   /* replies while they come into being (3.4); see earshot_texts.h */
    bool takes_images;   /* OFFER frames; see earshot_update.h */
    const uint8_t *key;  /* EARSHOT_KEY bytes by which the gateway knows that it is us; NULL: none */
    /* Makes the proof of it, 32 bytes: earshot_prove (earshot_proof.h), or the chip's. Is needed with a key only. */
    void (*prove)(const uint8_t *key, const uint8_t *message, size_t size, uint8_t *proof);
    uint32_t first_sequence; /* 0, except in tests of what wraps */
    earshot_port port;
} earshot_config;

/* What the device has seen so far; wraps at 2^32. */
typedef struct {
    uint32_t overrun_frames; /* AUDIO and notices that found no room */
    uint32_t overrun_samples;
    uint32_t sent; /* numbered frames, those sent again included */
    uint32_t resent;
    uint32_t received; /* numbered frames, in order */
    uint32_t duplicates;
    uint32_t repeated; /* transcripts and replies that a restarted gateway told again */
    uint32_t early;    /* numbered frames before their turn, asked for again */
    uint32_t ignored;  /* frames of another link, or for another boot */
    uint32_t broken;   /* stretches of bytes that were no frame */
    uint32_t dropped;  /* LOG, PONG and others that found no room in the outbox */
} earshot_counters;

typedef struct earshot_device earshot_device;

/* -- Beginning. Every other function wants a device that earshot_init has said EARSHOT_OK to. */

earshot_result earshot_init(earshot_device *device, const earshot_config *config);

/* -- The carrier's side. */

/* A carrier is there (a port is open, a broker or a socket is connected): say HELLO until welcomed. Also for one that
 * takes another's place: what was half written is given up. A serial line that cannot be known to be there is up from
 * the beginning. */
void earshot_carrier_up(earshot_device *device, earshot_carrier carrier, uint32_t now);

/* The carrier is gone. Streams, ring and numbers stay. */
void earshot_carrier_lost(earshot_device *device);

/* What the carrier has received: of EARSHOT_SERIAL any bytes in pieces of any size; of EARSHOT_MESSAGES one message.
 * What is no frame is counted, and harms nothing. Calls `hear`. Does not write: call earshot_poll after it. */
void earshot_receive(earshot_device *device, const uint8_t *bytes, size_t size, uint32_t now);

/* Does what is due and writes what may go out now. Returns after how many milliseconds it wants to be called again at
 * the latest; call it sooner after anything was received, recorded or said, and when the carrier takes bytes again.
 * UINT32_MAX: nothing is due while offline. While the carrier takes nothing it may return 0: wait for the carrier then.
 */
uint32_t earshot_poll(earshot_device *device, uint32_t now);

/* -- The user's side; in any state. */

/* Begins a stretch of audio; `*stream` becomes its number. `end_on_silence`: the gateway finds the end of each
 * utterance (a microphone that is always on); without it only earshot_stop ends it (push-to-talk). Never overrun: waits
 * for room if need be. EARSHOT_MANY_STREAMS. */
earshot_result earshot_start(earshot_device *device, bool end_on_silence, uint16_t *stream);

/* The next `samples` (at 16 kHz) of a stream, coded in `size` bytes: IMA ADPCM by earshot_adpcm_encode, Opus as one raw
 * packet. 0 bytes: nothing to be heard, a hole of so many samples. EARSHOT_NO_STREAM, EARSHOT_BAD_ARGUMENT (more than
 * frame_size, half a sample), EARSHOT_OVERRUN. */
earshot_result earshot_audio(earshot_device *device, uint16_t stream, earshot_codec codec, const void *payload,
                             size_t size, uint32_t samples);

/* The stream is over. Never overrun. EARSHOT_NO_STREAM. */
earshot_result earshot_stop(earshot_device *device, uint16_t stream);

/* A button, a wake word, a level in dBFS. `text` (may be NULL) ends with a zero; what exceeds EARSHOT_TEXT or
 * frame_size - 4 bytes is cut at a character. `stream` 0: the device. Numbered: arrives as surely as audio does.
 * EARSHOT_OVERRUN. */
earshot_result earshot_notify(earshot_device *device, earshot_notice kind, int16_t value, const char *text,
                              uint16_t stream);

/* A line of the device's log, best effort. `level`: syslog's severity, 0 to 7. `text` ends with a zero; what exceeds
 * 192 bytes is cut. EARSHOT_FULL. */
earshot_result earshot_log(earshot_device *device, uint8_t level, const char *text);

/* Any other unnumbered frame, best effort (PING, FETCH, UPDATE). EARSHOT_BAD_ARGUMENT (a type that devices number, 0x10
 * to 0x1f), EARSHOT_FULL. */
earshot_result earshot_say(earshot_device *device, uint8_t type, const void *payload, size_t size);

/* -- Looking. */

earshot_state earshot_where(const earshot_device *device);
/* Numbered frames that the gateway has not acknowledged. */
uint32_t earshot_unacknowledged(const earshot_device *device);
/* How many more frames of audio the ring takes now; fewer while the carrier is still busy with an acknowledged one that
 * goes again. */
uint32_t earshot_room(const earshot_device *device);
const earshot_counters *earshot_count(const earshot_device *device);
/* The boot number; another than the configured one if a gateway knew that already (4.1, WELCOME). */
uint32_t earshot_boot(const earshot_device *device);

/* -- The object. For its size only. */

#define EARSHOT_BLOCK_ (EARSHOT_HEADER + EARSHOT_MTU + 4 + (EARSHOT_HEADER + EARSHOT_MTU + 4) / 254 + 1)
#define EARSHOT_CONTROL_ 480

struct earshot_device {
    /* Numbers first: a RISC-V or Thumb reaches the first 128 bytes with the shortest instructions. */
    uint32_t now;
    /* ring: oldest <= acknowledged <= sent <= next, and how far credit goes */
    uint32_t oldest, acknowledged, sent, next, edge, highest_sent, durable, slots, oldest_slot;
    uint32_t again; /* how many slots are to be sent again */
    uint32_t resend_at, resend_patience;
    /* what comes down */
    uint32_t expected, highest, ack_at, ask_at, asked, unanswered;
    /* greeting, and the times */
    uint32_t boot, greeting_since, hello_at, patience, heard_at, sent_at;
    /* the frame on its way out */
    const uint8_t *out;
    uint32_t out_crc;
    uint32_t transcripts_had, replies_had;
    uint16_t out_size, out_at, piece_size, piece_at;
    uint8_t state, carrier, link;
    bool resend_due, ack_due, ask_due, ack_wanted, asking, proven;
    /* streams, bytes on their way in, what is said once */
    uint16_t last_stream, block_size, outbox_size, outbox_count;
    uint8_t streams_open, waiting_count;
    bool block_lost;
    earshot_config config;
    earshot_counters counters;
    struct {
        uint16_t number;
        bool end_on_silence;
        uint32_t position;
    } streams[EARSHOT_STREAMS];
    struct {
        uint8_t type, flags;
        uint16_t stream;
        uint32_t position;
    } waiting[3 * EARSHOT_STREAMS]; /* starts and stops, for room */
    uint64_t transcripts[EARSHOT_REMEMBERED], replies[EARSHOT_REMEMBERED];
    uint8_t proof[32];
    uint8_t piece[257];
    uint8_t block[EARSHOT_BLOCK_];
    uint8_t control[EARSHOT_CONTROL_];
    uint8_t outbox[EARSHOT_OUTBOX];
};

#ifdef __cplusplus
}
#endif

#endif
