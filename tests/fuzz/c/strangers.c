/* What strangers say to a board that is being set up: forms, questions of DNS, and Improv on the serial line. Any
 * bytes; nothing is read or written outside, and what is handed on is texts that fit. */
#include "promises.h"

#include "earshot_improv.h"
#include "earshot_portal.h"

static void form(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *out = malloc(33);
    if (!text || !out) abort();
    if (size) memcpy(text, data, size);
    text[size] = 0;
    if (earshot_form_field(text, "ssid", out, 33)) promise(memchr(out, 0, 33));
    if (earshot_form_field(text, "p", out, 1)) promise(!out[0]);
    free(text);
    free(out);
}

static void dns(const uint8_t *data, size_t size)
{
    static const uint8_t address[4] = {192, 168, 4, 1};
    uint8_t *packet = calloc(1, EARSHOT_DNS_MOST);
    if (!packet) abort();
    if (size > EARSHOT_DNS_MOST) size = EARSHOT_DNS_MOST;
    if (size) memcpy(packet, data, size);
    promise(earshot_dns_answer(packet, size, address) <= EARSHOT_DNS_MOST);
    free(packet);
}

static void out(void *owner, const uint8_t *bytes, size_t count)
{
    *(size_t *)owner += count;
    promise(count >= EARSHOT_IMPROV_HEAD && !memcmp(bytes, "IMPROV", 6));
}

static void join(void *owner, const char *ssid, const char *password)
{
    (void)owner;
    promise(strlen(ssid) <= EARSHOT_IMPROV_SSID_MOST && strlen(password) <= EARSHOT_IMPROV_PASSWORD_MOST);
}

static void scan(void *owner)
{
    (void)owner;
}

static void improv(const uint8_t *data, size_t size)
{
    size_t written = 0;
    const earshot_improv_port port = {.owner = &written,
                                      .out = out,
                                      .join = join,
                                      .scan = scan,
                                      .firmware = "demo",
                                      .version = "1",
                                      .chip = "S3",
                                      .name = "hall"};
    earshot_improv *one = malloc(sizeof *one);
    if (!one) abort();
    earshot_improv_init(one, &port, size & 1);
    for (size_t at = 0; at < size;) {
        const size_t part = size - at < 1u + data[at] % 16 ? size - at : 1u + data[at] % 16;
        earshot_improv_feed(one, data + at, part);
        if (data[at] == 7) earshot_improv_joined(one, "http://house");
        if (data[at] == 8) earshot_improv_failed(one);
        if (data[at] == 9) earshot_improv_network(one, "net", -50, 1);
        if (data[at] == 10) earshot_improv_networks_end(one);
        at += part;
    }
    free(one);
}

static void wifi(const uint8_t *data, size_t size)
{
    char ssid[EARSHOT_IMPROV_SSID_MOST + 1], password[EARSHOT_IMPROV_PASSWORD_MOST + 1];
    if (earshot_improv_wifi(data, size, ssid, password))
        promise(memchr(ssid, 0, sizeof ssid) && memchr(password, 0, sizeof password));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2048) return 0;
    form(data, size);
    dns(data, size);
    improv(data, size);
    wifi(data, size);
    return 0;
}
