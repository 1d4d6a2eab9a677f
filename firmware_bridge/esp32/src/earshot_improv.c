#include "earshot_improv.h"

#include <string.h>

enum { TYPE_STATE = 1, TYPE_ERROR = 2, TYPE_COMMAND = 3, TYPE_RESULT = 4 };
enum { JOIN = 1, ASK_STATE = 2, ASK_INFO = 3, ASK_NETWORKS = 4 };
enum { NO_ERROR = 0, INVALID = 1, UNKNOWN = 2, CANNOT_JOIN = 3 };
enum { TEXT_MOST = 48, RESULT_MOST = 2 + 4 * (1 + TEXT_MOST) };

static const uint8_t magic[7] = {'I', 'M', 'P', 'R', 'O', 'V', 1};

static void say(const earshot_improv *improv, uint8_t type, const uint8_t *data, size_t count)
{
    uint8_t packet[EARSHOT_IMPROV_HEAD + RESULT_MOST + 2];
    uint8_t sum = 0;
    memcpy(packet, magic, sizeof magic);
    packet[7] = type;
    packet[8] = (uint8_t)count;
    memcpy(packet + EARSHOT_IMPROV_HEAD, data, count);
    for (size_t i = 0; i < EARSHOT_IMPROV_HEAD + count; i++) {
        sum = (uint8_t)(sum + packet[i]);
    }
    packet[EARSHOT_IMPROV_HEAD + count] = sum;
    packet[EARSHOT_IMPROV_HEAD + count + 1] = '\n';
    improv->port.out(improv->port.owner, packet, EARSHOT_IMPROV_HEAD + count + 2);
}

static void say_error(const earshot_improv *improv, uint8_t error)
{
    say(improv, TYPE_ERROR, &error, 1);
}

static void say_state(const earshot_improv *improv)
{
    uint8_t state = (uint8_t)improv->state;
    say(improv, TYPE_STATE, &state, 1);
}

/* A text that is too long loses its end. */
static void say_result(const earshot_improv *improv, uint8_t command, const char *const *texts, size_t count)
{
    uint8_t data[RESULT_MOST];
    size_t end = 2;
    for (size_t i = 0; i < count; i++) {
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        length = length > TEXT_MOST ? TEXT_MOST : length;
        data[end] = (uint8_t)length;
        if (length) {
            memcpy(data + end + 1, texts[i], length);
        }
        end += 1 + length;
    }
    data[0] = command;
    data[1] = (uint8_t)(end - 2);
    say(improv, TYPE_RESULT, data, end);
}

static void say_url(const earshot_improv *improv, uint8_t command)
{
    say_result(improv, command, &improv->url, improv->url ? 1 : 0);
}

bool earshot_improv_wifi(const uint8_t *data, size_t count, char *ssid, char *password)
{
    if (count < 1 || data[0] < 1 || data[0] > EARSHOT_IMPROV_SSID_MOST || count < 2u + data[0]) {
        return false;
    }
    size_t at = 1u + data[0];
    if (data[at] > EARSHOT_IMPROV_PASSWORD_MOST || count != at + 1 + data[at]) {
        return false;
    }
    memcpy(ssid, data + 1, data[0]);
    ssid[data[0]] = 0;
    memcpy(password, data + at + 1, data[at]);
    password[data[at]] = 0;
    return strlen(ssid) == data[0] && strlen(password) == data[at];
}

static void join(earshot_improv *improv, const uint8_t *data, size_t count)
{
    char ssid[EARSHOT_IMPROV_SSID_MOST + 1], password[EARSHOT_IMPROV_PASSWORD_MOST + 1];
    if (!earshot_improv_wifi(data, count, ssid, password)) {
        say_error(improv, INVALID);
        return;
    }
    improv->state = EARSHOT_IMPROV_JOINING;
    say_error(improv, NO_ERROR);
    say_state(improv);
    improv->port.join(improv->port.owner, ssid, password);
}

static void tell_networks(earshot_improv *improv)
{
    improv->scanning = 1;
    if (improv->port.scan) {
        improv->port.scan(improv->port.owner);
    } else {
        earshot_improv_networks_end(improv);
    }
}

static void told(earshot_improv *improv, const uint8_t *data, size_t count)
{
    const char *const about[] = {improv->port.firmware, improv->port.version, improv->port.chip, improv->port.name};
    if (count < 2 || data[1] != count - 2) {
        say_error(improv, INVALID);
        return;
    }
    switch (data[0]) {
    case JOIN: join(improv, data + 2, count - 2); break;
    case ASK_STATE:
        say_state(improv);
        if (improv->state == EARSHOT_IMPROV_JOINED) {
            say_url(improv, ASK_STATE);
        }
        break;
    case ASK_INFO: say_result(improv, ASK_INFO, about, 4); break;
    case ASK_NETWORKS: tell_networks(improv); break;
    default: say_error(improv, UNKNOWN);
    }
}

/* The packet is whole: its checksum is the last byte held. */
static void whole(earshot_improv *improv)
{
    size_t count = improv->packet[8];
    uint8_t sum = 0;
    for (size_t i = 0; i < EARSHOT_IMPROV_HEAD + count; i++) {
        sum = (uint8_t)(sum + improv->packet[i]);
    }
    if (sum != improv->packet[EARSHOT_IMPROV_HEAD + count]) {
        say_error(improv, INVALID);
    } else if (improv->packet[7] == TYPE_COMMAND) {
        told(improv, improv->packet + EARSHOT_IMPROV_HEAD, count);
    }
}

static void feed_one(earshot_improv *improv, uint8_t byte)
{
    if (improv->held < sizeof magic && byte != magic[improv->held]) {
        improv->held = byte == magic[0]; /* no letter of it comes twice: a new beginning is its first */
        improv->packet[0] = byte;
        return;
    }
    improv->packet[improv->held++] = byte;
    if (improv->held > EARSHOT_IMPROV_HEAD && improv->held == EARSHOT_IMPROV_HEAD + 1u + improv->packet[8]) {
        improv->held = 0;
        whole(improv);
    }
}

void earshot_improv_init(earshot_improv *improv, const earshot_improv_port *port, int joined)
{
    memset(improv, 0, sizeof *improv);
    improv->port = *port;
    improv->state = joined ? EARSHOT_IMPROV_JOINED : EARSHOT_IMPROV_READY;
}

void earshot_improv_feed(earshot_improv *improv, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        feed_one(improv, bytes[i]);
    }
}

void earshot_improv_joined(earshot_improv *improv, const char *url)
{
    int asked = improv->state == EARSHOT_IMPROV_JOINING;
    improv->url = url;
    improv->state = EARSHOT_IMPROV_JOINED;
    if (asked) {
        say_state(improv);
        say_url(improv, JOIN);
    }
}

void earshot_improv_failed(earshot_improv *improv)
{
    int asked = improv->state == EARSHOT_IMPROV_JOINING;
    improv->state = EARSHOT_IMPROV_READY;
    if (asked) {
        say_state(improv);
        say_error(improv, CANNOT_JOIN);
    }
}

static const char *number(char text[5], int value)
{
    unsigned size = (unsigned)(value < 0 ? -value : value) % 1000u;
    text[0] = value < 0 ? '-' : '+';
    text[1] = (char)('0' + size / 100);
    text[2] = (char)('0' + size / 10 % 10);
    text[3] = (char)('0' + size % 10);
    text[4] = 0;
    return text;
}

void earshot_improv_network(earshot_improv *improv, const char *ssid, int rssi, int asks_for_password)
{
    char level[5];
    const char *const texts[] = {ssid, number(level, rssi), asks_for_password ? "YES" : "NO"};
    if (improv->scanning) {
        say_result(improv, ASK_NETWORKS, texts, 3);
    }
}

void earshot_improv_networks_end(earshot_improv *improv)
{
    if (improv->scanning) {
        improv->scanning = 0;
        say_result(improv, ASK_NETWORKS, NULL, 0);
    }
}
