/* A device of docs/protocol.md in C, written from that page alone: what other implementations are to find there is
 * there.
 *
 *   badge show [pieces]           REPLY frames in hexadecimal on stdin, one a line; for each "= TEXT", what is shown,
 * or "-" badge talk ID PCM CREDIT MTU  makes a terminal and prints its name; says HELLO with WANTS_PIECES, then the PCM
 * file, prints "first TEXT" or "final TEXT" for what it shows, and ends with the last answer
 *
 * Nothing is allocated. It puts nothing in order: what comes early is dropped and comes again (6, step 8).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 20, PAYLOAD = 2048, FRAME = HEADER + PAYLOAD, WIRE = FRAME + 4 + 16, SAMPLES = 320 };
enum {
    HELLO = 0x01,
    WELCOME = 0x02,
    AUDIO_START = 0x10,
    AUDIO = 0x11,
    AUDIO_STOP = 0x12,
    STATUS = 0x20,
    PARTIAL = 0x21,
    TRANSCRIPT = 0x22,
    REPLY = 0x23,
    ACK = 0x30,
    PING = 0x31,
    FAULT = 0x3f
};
enum { RESENT = 1, WANTS_PIECES = 4, FINAL = 2, CONTINUED = 16, WHOLE = 32 };
enum { RING = 1024, TEXTS = 8, HAD = 32, ID = 256, TEXT = 70000 };

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = value & 255, at[1] = value >> 8 & 255;
}
static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value & 0xffff), put16(at + 2, value >> 16);
}
static uint32_t get16(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8;
}
static uint32_t get32(const uint8_t *at)
{
    return get16(at) | get16(at + 2) << 16;
}
static int32_t distance(uint32_t from, uint32_t to)
{
    return (int32_t)(to - from);
}

/* -- what is shown of replies (3.3, 3.4, 4.1) */

struct text {
    char id[ID];
    char text[TEXT];
    size_t length;
    int used;
};
static struct text texts[TEXTS];
static char had[HAD][ID];
static unsigned had_next;
static int wants_pieces;

static struct text *text_of(const char *id)
{
    struct text *room = &texts[0];
    for (int at = 0; at < TEXTS; at++) {
        if (texts[at].used && !strcmp(texts[at].id, id)) return &texts[at];
        if (!texts[at].used) room = &texts[at];
    }
    room->used = 1, room->length = 0;
    strcpy(room->id, id);
    return room;
}

/* The text to show now, or NULL. */
static const char *take_reply(uint8_t flags, const uint8_t *payload, size_t size)
{
    char id[ID];
    if (size < 1 || size < 1u + payload[0]) return NULL;
    memcpy(id, payload + 1, payload[0]);
    id[payload[0]] = 0;
    for (int at = 0; at < HAD; at++)
        if (!strcmp(had[at], id)) return NULL;
    struct text *one = text_of(id);
    const uint8_t *words = payload + 1 + payload[0];
    size_t more = size - 1 - payload[0];
    if (flags & WHOLE) one->length = 0;
    if (more > TEXT - 1 - one->length) more = TEXT - 1 - one->length;
    memcpy(one->text + one->length, words, more);
    one->length += more;
    one->text[one->length] = 0;
    if (flags & FINAL) strcpy(had[had_next++ % HAD], id);
    if (flags & CONTINUED) return NULL;
    if ((flags & FINAL) || !wants_pieces) one->used = 0;
    return one->text;
}

static void forget_texts(void)
{
    for (int at = 0; at < TEXTS; at++) texts[at].used = 0;
}

/* -- the serial line (2.1) */

static uint32_t crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    while (size--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* The frame has room for its CRC behind it. */
static size_t stuff(uint8_t *out, uint8_t *frame, size_t size)
{
    put32(frame + size, crc32(frame, size));
    size_t code = 0, end = 1;
    for (size_t at = 0; at < size + 4; at++) {
        if (end - code == 255) out[code] = 255, code = end++;
        if (frame[at])
            out[end++] = frame[at];
        else
            out[code] = (uint8_t)(end - code), code = end++;
    }
    out[code] = (uint8_t)(end - code);
    out[end++] = 0;
    return end;
}

/* What stands between two delimiters, as a frame in the same place; 0: it is none. */
static size_t unstuff(uint8_t *block, size_t size)
{
    size_t out = 0;
    for (size_t at = 0; at < size;) {
        uint8_t code = block[at++];
        if (at + code - 1 > size) return 0;
        for (int count = 1; count < code; count++) block[out++] = block[at++];
        if (code < 255 && at < size) block[out++] = 0;
    }
    if (out < HEADER + 4 || out > FRAME + 4 || crc32(block, out - 4) != get32(block + out - 4)) return 0;
    return out - 4;
}

/* -- the link (4.1, 4.3, 4.5) */

static uint8_t ring[RING][HEADER + 2 * SAMPLES + 4];
static size_t ring_size[RING];
static uint32_t next, acknowledged, sent, durable, edge;
static uint32_t expected, boot, credit_given, mtu;
static int port, linked, ack_due, over;
static uint8_t nonce;
static const char *name;
static int64_t resend_at, hello_at, sent_at;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static void transmit(uint8_t *frame, size_t size)
{
    uint8_t wire[WIRE];
    frame[3] = linked ? nonce : 0;
    put16(frame + 6, credit_given);
    put32(frame + 12, expected);
    size_t length = stuff(wire, frame, size), done = 0;
    while (done < length) {
        ssize_t count = write(port, wire + done, length - done);
        if (count > 0)
            done += (size_t)count;
        else
            usleep(1000);
    }
    sent_at = now(), ack_due = 0;
}

static void say(uint8_t type, uint8_t flags, const void *payload, size_t size)
{
    uint8_t frame[FRAME + 4] = {1, type, flags};
    put32(frame + 16, (uint32_t)now());
    if (size) memcpy(frame + HEADER, payload, size);
    transmit(frame, HEADER + size);
}

static void say_hello(void)
{
    char json[256];
    int size = snprintf(json, sizeof json,
                        "{\"id\":\"%s\",\"boot\":%u,\"ring\":%d,\"next\":%u,\"oldest\":%u,\"durable\":%u,\"mtu\":%u}",
                        name, boot, RING, next, durable, durable, mtu);
    linked = 0, hello_at = now() + 250;
    say(HELLO, WANTS_PIECES, json, (size_t)size);
}

static void keep(uint8_t type, uint32_t position, const void *payload, size_t size)
{
    uint8_t *frame = ring[next % RING];
    memset(frame, 0, HEADER);
    frame[0] = 1, frame[1] = type;
    put16(frame + 4, 1);
    put32(frame + 8, next);
    put32(frame + 16, position);
    if (size) memcpy(frame + HEADER, payload, size);
    ring_size[next++ % RING] = HEADER + size;
}

static void send_kept(uint32_t number, uint8_t flag)
{
    if (distance(durable, number) < 0 || distance(number, next) <= 0) return;
    ring[number % RING][2] |= flag;
    transmit(ring[number % RING], ring_size[number % RING]);
}

static void acknowledge(void)
{
    uint8_t payload[5] = {0};
    put32(payload, durable);
    say(ACK, 0, payload, sizeof payload);
}

static void in_order(uint8_t type, uint8_t flags, const uint8_t *payload, size_t size)
{
    expected++;
    if (type != REPLY) return;
    const char *shown = take_reply(flags, payload, size);
    if (shown) printf("%s %s\n", flags & FINAL ? "final" : "first", shown), fflush(stdout);
    if (flags & FINAL) over = 1;
}

static void welcomed(const uint8_t *frame, size_t size)
{
    if (linked || size < HEADER + 14 || get32(frame + HEADER) != boot) return;
    uint32_t down = get32(frame + HEADER + 8);
    int another = distance(down, expected) < 0 || distance(down, expected) > 256;
    if (another || nonce != frame[3]) forget_texts();
    if (another) expected = down;
    linked = 1, nonce = frame[3];
    acknowledged = sent = get32(frame + HEADER + 4);
    edge = sent + get16(frame + 6);
}

static void take(const uint8_t *frame, size_t size)
{
    if (frame[0] != 1) return;
    if (frame[1] == WELCOME) {
        welcomed(frame, size);
        return;
    }
    if (!linked || frame[3] != nonce) return;
    if (frame[1] == FAULT) {
        if (size > HEADER && frame[HEADER] == 1) say_hello();
        return;
    }
    uint32_t acknowledge = get32(frame + 12);
    if (distance(acknowledged, acknowledge) >= 0 && distance(acknowledge, next) >= 0) {
        if (acknowledged != acknowledge) resend_at = now() + 250;
        acknowledged = acknowledge, edge = acknowledge + get16(frame + 6);
        if (distance(sent, acknowledged) > 0) sent = acknowledged;
    }
    if (frame[1] == ACK && size >= HEADER + 5) {
        if (distance(durable, get32(frame + HEADER)) > 0) durable = get32(frame + HEADER);
        for (int at = 0; at < frame[HEADER + 4] && HEADER + 13u + 8u * (unsigned)at <= size; at++) {
            uint32_t last = get32(frame + HEADER + 9 + 8 * at);
            for (uint32_t number = get32(frame + HEADER + 5 + 8 * at); distance(number, last) >= 0; number++)
                send_kept(number, RESENT);
        }
    } else if (frame[1] >= 0x20 && frame[1] <= 0x2f && frame[1] != PARTIAL) {
        ack_due = 1;
        if (get32(frame + 8) == expected) in_order(frame[1], frame[2], frame + HEADER, size - HEADER);
    }
}

static void hear(void)
{
    static uint8_t block[2 * WIRE];
    static size_t length;
    uint8_t bytes[4096];
    struct pollfd wait = {port, POLLIN, 0};
    if (poll(&wait, 1, 10) <= 0) return;
    ssize_t count = read(port, bytes, sizeof bytes);
    for (ssize_t at = 0; at < count; at++) {
        if (bytes[at]) {
            if (length < sizeof block) block[length++] = bytes[at];
            continue;
        }
        size_t size = unstuff(block, length);
        length = 0;
        if (size) take(block, size);
    }
}

static void speak(void)
{
    if (!linked) {
        if (now() >= hello_at) say_hello();
        return;
    }
    for (; sent != next && distance(sent, edge) > 0; sent++) {
        if (acknowledged == sent) resend_at = now() + 250;
        send_kept(sent, 0);
    }
    if (acknowledged != sent && now() >= resend_at) send_kept(acknowledged, RESENT), resend_at = now() + 500;
    if (ack_due) acknowledge();
    if (now() >= sent_at + (sent == next ? 5000 : 1000)) say(PING, 0, NULL, 0);
}

static int open_terminal(void)
{
    struct termios raw;
    int ours = posix_openpt(O_RDWR | O_NOCTTY);
    if (ours < 0 || grantpt(ours) || unlockpt(ours)) return -1;
    int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY); /* stays open: the line does not hang up with the gateway */
    if (theirs < 0 || tcgetattr(theirs, &raw)) return -1;
    cfmakeraw(&raw);
    if (tcsetattr(theirs, TCSANOW, &raw)) return -1;
    puts(ptsname(ours)), fflush(stdout);
    return ours;
}

static int talk(char **arguments)
{
    name = arguments[0], credit_given = (uint32_t)atoi(arguments[2]), mtu = (uint32_t)atoi(arguments[3]);
    int random = open("/dev/urandom", O_RDONLY);
    FILE *speech = fopen(arguments[1], "rb");
    if (random < 0 || read(random, &boot, 4) != 4 || !speech) return 1;
    uint8_t audio[2 * SAMPLES];
    uint32_t position = 0;
    keep(AUDIO_START, 0, NULL, 0);
    for (size_t size; (size = fread(audio, 2, SAMPLES, speech)) > 0 && next < RING - 1; position += (uint32_t)size)
        keep(AUDIO, position, audio, 2 * size);
    keep(AUDIO_STOP, position, NULL, 0);
    wants_pieces = 1;
    if ((port = open_terminal()) < 0) return 1;
    while (!over || ack_due) hear(), speak();
    tcdrain(port);
    for (int64_t end = now() + 300; now() < end;) hear(), speak(); /* what was acknowledged may have to be said again */
    return 0;
}

static int show(void)
{
    char line[2 * FRAME + 2];
    uint8_t frame[FRAME];
    while (fgets(line, sizeof line, stdin)) {
        size_t size = 0;
        for (unsigned byte; size < FRAME && sscanf(line + 2 * size, "%2x", &byte) == 1; size++)
            frame[size] = (uint8_t)byte;
        const char *shown = size < HEADER ? NULL : take_reply(frame[2], frame + HEADER, size - HEADER);
        if (shown)
            printf("= %s\n", shown);
        else
            puts("-");
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 6 && !strcmp(arguments[1], "talk")) return talk(arguments + 2);
    wants_pieces = count == 3;
    return count >= 2 && !strcmp(arguments[1], "show") ? show() : 2;
}
