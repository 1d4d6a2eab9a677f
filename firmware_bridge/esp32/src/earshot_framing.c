#include "earshot_framing.h"

enum { HEADER = 20, CRC = 4, FULL = 254 };

#ifndef EARSHOT_CRC32
static const uint32_t NIBBLES[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};
#endif

uint32_t earshot_crc32(uint32_t crc, const uint8_t *bytes, size_t size)
{
#ifdef EARSHOT_CRC32
    return EARSHOT_CRC32(crc, bytes, size);
#else
    crc = ~crc;
    while (size--) {
        crc ^= *bytes++;
        crc = crc >> 4 ^ NIBBLES[crc & 15];
        crc = crc >> 4 ^ NIBBLES[crc & 15];
    }
    return ~crc;
#endif
}

static uint8_t byte_at(const uint8_t *frame, size_t size, uint32_t crc, size_t at)
{
    if (at < size) return frame[at];
    return (uint8_t)(crc >> 8 * (at - size) & 255);
}

size_t earshot_stuff_group(uint8_t *group, const uint8_t *frame, size_t size, uint32_t crc, uint16_t *at)
{
    const size_t whole = size + CRC;
    size_t end = *at, run = 0;
    while (end < whole && run < FULL) {
        uint8_t byte = byte_at(frame, size, crc, end);
        if (!byte) break;
        group[1 + run++] = byte;
        end++;
    }
    group[0] = (uint8_t)(run + 1);
    if (end < whole) {
        *at = (uint16_t)(run < FULL ? end + 1 : end); /* the zero is in the code; behind a full group there is none */
        return run + 1;
    }
    group[run + 1] = 0;
    *at = (uint16_t)(whole + 1);
    return run + 2;
}

size_t earshot_stuff(uint8_t *out, const uint8_t *frame, size_t size)
{
    const uint32_t crc = earshot_crc32(0, frame, size);
    size_t length = 0;
    for (uint16_t at = 0; at <= size + CRC;) length += earshot_stuff_group(out + length, frame, size, crc, &at);
    return length;
}

/* Undoes COBS in place; returns the size, 0 if the codes do not add up. */
static size_t uncover(uint8_t *block, size_t size)
{
    size_t out = 0;
    for (size_t at = 0; at < size;) {
        const uint8_t code = block[at++];
        if (code == 0 || at + code - 1u > size) return 0;
        memmove(block + out, block + at, code - 1u);
        out += code - 1u;
        at += code - 1u;
        if (code <= FULL && at < size) block[out++] = 0;
    }
    return out;
}

/* Whether the codes of a block add up, and what they hold is right; nothing is changed. */
static bool holds_frame(const uint8_t *block, size_t size)
{
    uint32_t crc = 0;
    size_t whole = 0;
    static const uint8_t zero = 0;
    for (size_t at = 0; at < size;) {
        const uint8_t code = block[at++];
        if (code == 0 || at + code - 1u > size) return false;
        crc = earshot_crc32(crc, block + at, code - 1u);
        whole += code - 1u;
        at += code - 1u;
        if (code <= FULL && at < size) {
            crc = earshot_crc32(crc, &zero, 1);
            whole++;
        }
    }
    return whole >= CRC && crc == 0x2144df1cu; /* the CRC-32 of anything and its own CRC-32 */
}

static bool is_text(uint8_t byte)
{
    return (byte >= ' ' && byte <= '~') || byte == '\t' || byte == '\r' || byte == '\n' || byte == 0x1b;
}

/* How much of a block is lines of text: up to its last newline, as far as all before is text. */
static size_t lines(const uint8_t *block, size_t size)
{
    size_t end = 0;
    for (size_t at = 0; at < size && is_text(block[at]); at++)
        if (block[at] == '\n') end = at + 1;
    return end;
}

size_t earshot_unstuff(uint8_t *block, size_t size, const uint8_t **frame)
{
    if (!holds_frame(block, size)) {
        const size_t text = lines(block, size);
        block += text;
        size -= text;
        if (!text || !holds_frame(block, size)) return 0;
    }
    *frame = block;
    return uncover(block, size) - CRC;
}
