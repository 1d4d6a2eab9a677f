#include "earshot_proof.h"

enum { BLOCK = 64, DIGEST = 32, KEY = 32 };

static const uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t word, unsigned by)
{
    return word >> by | word << (32 - by);
}

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void schedule(uint32_t *words, const uint8_t *block)
{
    for (unsigned at = 0; at < 16; at++) words[at] = big_endian(block + 4 * at);
    for (unsigned at = 16; at < 64; at++) {
        const uint32_t early = words[at - 15], late = words[at - 2];
        words[at] = words[at - 16] + words[at - 7] + (turned(early, 7) ^ turned(early, 18) ^ early >> 3) +
                    (turned(late, 17) ^ turned(late, 19) ^ late >> 10);
    }
}

static void mix(uint32_t *state, const uint8_t *block)
{
    uint32_t words[64], s[8];
    schedule(words, block);
    memcpy(s, state, sizeof s);
    for (unsigned at = 0; at < 64; at++) {
        const uint32_t one = s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) +
                             ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUNDS[at] + words[at];
        const uint32_t two =
            (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (unsigned at = 0; at < 8; at++) state[at] += s[at];
}

void earshot_sha256_begin(earshot_sha256 *hash)
{
    static const uint32_t FIRST[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, FIRST, sizeof FIRST);
    hash->size = 0;
}

void earshot_sha256_add(earshot_sha256 *hash, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    while (size) {
        const size_t at = hash->size % BLOCK, took = size < BLOCK - at ? size : BLOCK - at;
        memcpy(hash->block + at, from, took);
        hash->size += took;
        from += took;
        size -= took;
        if (hash->size % BLOCK == 0) mix(hash->state, hash->block);
    }
}

void earshot_sha256_end(earshot_sha256 *hash, uint8_t *digest)
{
    static const uint8_t PADDING[BLOCK] = {0x80};
    const uint64_t bits = hash->size * 8;
    uint8_t length[8];
    for (unsigned at = 0; at < 8; at++) length[at] = (uint8_t)(bits >> (56 - 8 * at) & 255);
    earshot_sha256_add(hash, PADDING, 1 + (2 * BLOCK - 9 - hash->size % BLOCK) % BLOCK);
    earshot_sha256_add(hash, length, sizeof length);
    for (unsigned at = 0; at < DIGEST; at++) digest[at] = (uint8_t)(hash->state[at / 4] >> (24 - 8 * (at % 4)) & 255);
}

static void keyed(earshot_sha256 *hash, const uint8_t *key, uint8_t mask)
{
    uint8_t block[BLOCK];
    for (unsigned at = 0; at < BLOCK; at++) block[at] = (uint8_t)((at < KEY ? key[at] : 0) ^ mask);
    earshot_sha256_begin(hash);
    earshot_sha256_add(hash, block, sizeof block);
}

void earshot_prove(const uint8_t *key, const uint8_t *message, size_t size, uint8_t *proof)
{
    earshot_sha256 hash;
    keyed(&hash, key, 0x36);
    earshot_sha256_add(&hash, message, size);
    earshot_sha256_end(&hash, proof);
    keyed(&hash, key, 0x5c);
    earshot_sha256_add(&hash, proof, DIGEST);
    earshot_sha256_end(&hash, proof);
}
