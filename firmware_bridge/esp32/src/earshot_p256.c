#include "earshot_p256.h"

#include "earshot_proof.h"

/* Numbers of 256 bits are eight words, the lowest first. Products are Montgomery's: a * b / 2^256. */
enum { WORDS = 8, BYTES = 32 };

typedef struct {
    uint32_t w[WORDS];
} number;
typedef struct {
    number m;         /* the modulus */
    uint32_t inverse; /* -1/m modulo 2^32 */
    number square;    /* 2^512 modulo m: brings a number into Montgomery's form */
} modulus;
typedef struct {
    number x, y, z;
} point; /* Jacobian, in Montgomery's form; z 0: infinity */

static const modulus P = {{{0xffffffff, 0xffffffff, 0xffffffff, 0, 0, 0, 1, 0xffffffff}},
                          1,
                          {{3, 0, 0xffffffff, 0xfffffffb, 0xfffffffe, 0xffffffff, 0xfffffffd, 4}}};
static const modulus N = {
    {{0xfc632551, 0xf3b9cac2, 0xa7179e84, 0xbce6faad, 0xffffffff, 0xffffffff, 0, 0xffffffff}},
    0xee00bc4f,
    {{0xbe79eea2, 0x83244c95, 0x49bd6fa6, 0x4699799c, 0x2b6bec59, 0x2845b239, 0xf3d95620, 0x66e12d94}}};
static const number B = {
    {0x27d2604b, 0x3bce3c3e, 0xcc53b0f6, 0x651d06b0, 0x769886bc, 0xb3ebbd55, 0xaa3a93e7, 0x5ac635d8}};
static const number GX = {
    {0xd898c296, 0xf4a13945, 0x2deb33a0, 0x77037d81, 0x63a440f2, 0xf8bce6e5, 0xe12c4247, 0x6b17d1f2}};
static const number GY = {
    {0x37bf51f5, 0xcbb64068, 0x6b315ece, 0x2bce3357, 0x7c0f9e16, 0x8ee7eb4a, 0xfe1a7f9b, 0x4fe342e2}};
static const number ONE = {{1}};

static number read(const uint8_t *bytes)
{
    number a;
    for (unsigned at = 0; at < WORDS; at++) {
        const uint8_t *from = bytes + BYTES - 4 - 4 * at;
        a.w[at] = (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
    }
    return a;
}

static bool is_zero(const number *a)
{
    uint32_t any = 0;
    for (unsigned at = 0; at < WORDS; at++) any |= a->w[at];
    return !any;
}

static bool is_same(const number *a, const number *b)
{
    return !memcmp(a, b, sizeof *a);
}

/* a - b into `into`; whether it went below zero. */
static bool subtract(number *into, const number *a, const number *b)
{
    uint64_t borrow = 0;
    for (unsigned at = 0; at < WORDS; at++) {
        const uint64_t word = (uint64_t)a->w[at] - b->w[at] - borrow;
        into->w[at] = (uint32_t)(word & 0xffffffff);
        borrow = word >> 63;
    }
    return borrow;
}

/* a + b into `into`; whether it went beyond 256 bits. */
static bool add(number *into, const number *a, const number *b)
{
    uint64_t carry = 0;
    for (unsigned at = 0; at < WORDS; at++) {
        carry += (uint64_t)a->w[at] + b->w[at];
        into->w[at] = (uint32_t)(carry & 0xffffffff);
        carry >>= 32;
    }
    return carry;
}

static bool is_less(const number *a, const number *b)
{
    number scratch;
    return subtract(&scratch, a, b);
}

static number plus(const number *a, const number *b, const modulus *of)
{
    number sum, less;
    const bool beyond = add(&sum, a, b), below = subtract(&less, &sum, &of->m);
    return beyond || !below ? less : sum;
}

static number minus(const number *a, const number *b, const modulus *of)
{
    number rest;
    if (subtract(&rest, a, b)) add(&rest, &rest, &of->m);
    return rest;
}

static number times(const number *a, const number *b, const modulus *of)
{
    uint32_t t[WORDS + 2] = {0};
    for (unsigned at = 0; at < WORDS; at++) {
        uint64_t carry = 0;
        for (unsigned k = 0; k < WORDS; k++) {
            carry += t[k] + (uint64_t)a->w[at] * b->w[k];
            t[k] = (uint32_t)(carry & 0xffffffff);
            carry >>= 32;
        }
        carry += t[WORDS];
        t[WORDS] = (uint32_t)(carry & 0xffffffff);
        t[WORDS + 1] = (uint32_t)(carry >> 32);
        const uint32_t q = (uint32_t)((uint64_t)t[0] * of->inverse & 0xffffffff);
        carry = (t[0] + (uint64_t)q * of->m.w[0]) >> 32;
        for (unsigned k = 1; k < WORDS; k++) {
            carry += t[k] + (uint64_t)q * of->m.w[k];
            t[k - 1] = (uint32_t)(carry & 0xffffffff);
            carry >>= 32;
        }
        carry += t[WORDS];
        t[WORDS - 1] = (uint32_t)(carry & 0xffffffff);
        t[WORDS] = t[WORDS + 1] + (uint32_t)(carry >> 32);
    }
    number product, less;
    memcpy(&product, t, sizeof product);
    const bool below = subtract(&less, &product, &of->m);
    return t[WORDS] || !below ? less : product;
}

static number squared(const number *a, const modulus *of)
{
    return times(a, a, of);
}

static number twice(const number *a, const modulus *of)
{
    return plus(a, a, of);
}

static number in_form(const number *a, const modulus *of)
{
    return times(a, &of->square, of);
}

/* 1/a by Fermat; in form and out of it. */
static number inverse(const number *a, const modulus *of)
{
    static const number TWO = {{2}};
    number power, result = in_form(&ONE, of);
    subtract(&power, &of->m, &TWO);
    for (unsigned bit = 32 * WORDS; bit-- > 0;) {
        result = squared(&result, of);
        if (power.w[bit / 32] >> bit % 32 & 1) result = times(&result, a, of);
    }
    return result;
}

static void double_it(point *p)
{
    if (is_zero(&p->z)) return;
    const number zz = squared(&p->z, &P), yy = squared(&p->y, &P);
    number left = minus(&p->x, &zz, &P), right = plus(&p->x, &zz, &P), m = times(&left, &right, &P),
           s = times(&p->x, &yy, &P), t;
    t = twice(&m, &P);
    m = plus(&t, &m, &P); /* 3 (x - z^2) (x + z^2) */
    s = twice(&s, &P);
    s = twice(&s, &P); /* 4 x y^2 */
    p->z = times(&p->y, &p->z, &P);
    p->z = twice(&p->z, &P);
    p->x = squared(&m, &P);
    t = twice(&s, &P);
    p->x = minus(&p->x, &t, &P);
    t = minus(&s, &p->x, &P);
    t = times(&m, &t, &P);
    number y4 = squared(&yy, &P);
    for (unsigned again = 0; again < 3; again++) y4 = twice(&y4, &P); /* 8 y^4 */
    p->y = minus(&t, &y4, &P);
}

/* p + q into p; q is not infinity, its z may be any. */
static void add_to(point *p, const point *q)
{
    if (is_zero(&q->z)) return;
    if (is_zero(&p->z)) {
        *p = *q;
        return;
    }
    const number zz1 = squared(&p->z, &P), zz2 = squared(&q->z, &P);
    const number u1 = times(&p->x, &zz2, &P), u2 = times(&q->x, &zz1, &P);
    number s1 = times(&p->y, &zz2, &P), s2 = times(&q->y, &zz1, &P);
    s1 = times(&s1, &q->z, &P);
    s2 = times(&s2, &p->z, &P);
    const number h = minus(&u2, &u1, &P), r = minus(&s2, &s1, &P);
    if (is_zero(&h)) {
        if (is_zero(&r))
            double_it(p);
        else
            memset(p, 0, sizeof *p);
        return;
    }
    const number hh = squared(&h, &P), hhh = times(&h, &hh, &P), v = times(&u1, &hh, &P);
    number t = times(&p->z, &q->z, &P);
    p->z = times(&t, &h, &P);
    p->x = squared(&r, &P);
    p->x = minus(&p->x, &hhh, &P);
    t = twice(&v, &P);
    p->x = minus(&p->x, &t, &P);
    t = minus(&v, &p->x, &P);
    t = times(&r, &t, &P);
    s1 = times(&s1, &hhh, &P);
    p->y = minus(&t, &s1, &P);
}

static bool is_on_curve(const number *x, const number *y)
{
    const number b = in_form(&B, &P), yy = squared(y, &P), xx = squared(x, &P), three = plus(x, x, &P);
    number right = times(&xx, x, &P);
    right = minus(&right, &three, &P);
    right = minus(&right, x, &P);
    right = plus(&right, &b, &P);
    return is_same(&yy, &right);
}

/* The public key as a point. False: it is none. */
static bool read_key(point *key, const uint8_t *bytes)
{
    const number x = read(bytes), y = read(bytes + BYTES);
    if (!is_less(&x, &P.m) || !is_less(&y, &P.m)) return false;
    key->x = in_form(&x, &P);
    key->y = in_form(&y, &P);
    key->z = in_form(&ONE, &P);
    return is_on_curve(&key->x, &key->y);
}

/* u1 times the generator and u2 times the key. */
static point combined(const number *u1, const number *u2, const point *key)
{
    point sum, generator = {in_form(&GX, &P), in_form(&GY, &P), key->z}, both = generator;
    add_to(&both, key);
    memset(&sum, 0, sizeof sum);
    for (unsigned bit = 32 * WORDS; bit-- > 0;) {
        const uint32_t one = u1->w[bit / 32] >> bit % 32 & 1, two = u2->w[bit / 32] >> bit % 32 & 1;
        double_it(&sum);
        if (one || two) add_to(&sum, one && two ? &both : one ? &generator : key);
    }
    return sum;
}

/* Whether the point's x is r modulo the order, without dividing by z^2. */
static bool has_x(const point *p, number r)
{
    const number zz = squared(&p->z, &P);
    for (;;) {
        number x = in_form(&r, &P);
        x = times(&x, &zz, &P);
        if (is_same(&x, &p->x)) return true;
        if (add(&r, &r, &N.m) || !is_less(&r, &P.m)) return false;
    }
}

bool earshot_p256_verify(const uint8_t *key, const uint8_t *digest, const uint8_t *signature)
{
    point q;
    const number r = read(signature), s = read(signature + BYTES);
    number e = read(digest);
    if (is_zero(&r) || is_zero(&s) || !is_less(&r, &N.m) || !is_less(&s, &N.m) || !read_key(&q, key)) return false;
    if (!is_less(&e, &N.m)) subtract(&e, &e, &N.m);
    number w = in_form(&s, &N);
    w = inverse(&w, &N);
    const number u1 = times(&e, &w, &N), u2 = times(&r, &w, &N); /* one factor in form: the product is out of it */
    const point sum = combined(&u1, &u2, &q);
    return !is_zero(&sum.z) && has_x(&sum, r);
}

bool earshot_p256_signed(const uint8_t *key, const uint8_t *message, size_t size, const uint8_t *signature)
{
    earshot_sha256 hash;
    uint8_t digest[32];
    earshot_sha256_begin(&hash);
    earshot_sha256_add(&hash, message, size);
    earshot_sha256_end(&hash, digest);
    return earshot_p256_verify(key, digest, signature);
}
