#include "earshot_portal.h"

#include <string.h>

enum { HEADER = 12, RECORD = 16, A = 1, IN = 1 };

static int digit(char letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    letter = (char)(letter | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Where the value of the field begins; NULL: there is none. A field begins the form, or behind an &. */
static const char *value_of(const char *form, const char *name)
{
    size_t length = strlen(name), left = strlen(form);
    bool begins = true;
    for (; left > length; form++, left--) {
        if (begins && !memcmp(form, name, length) && form[length] == '=') {
            return form + length + 1;
        }
        begins = *form == '&';
    }
    return NULL;
}

/* The letter that stands at *at, and how it is passed. */
static char letter_at(const char **at)
{
    const char *from = *at;
    int high = *from == '%' ? digit(from[1]) : -1;
    int low = high < 0 ? -1 : digit(from[2]);
    *at = from + (low < 0 ? 1 : 3);
    return low >= 0 ? (char)(high * 16 + low) : *from == '+' ? ' ' : *from;
}

bool earshot_form_field(const char *form, const char *name, char *out, size_t room)
{
    const char *at = value_of(form, name);
    size_t held = 0;
    while (at && *at && *at != '&') {
        char letter = letter_at(&at);
        if (!letter || held + 1 >= room) {
            return false;
        }
        out[held++] = letter;
    }
    if (!at || !room) {
        return false;
    }
    out[held] = 0;
    return true;
}

/* Behind the one question; 0: it does not end within the packet. Names in questions are never compressed. */
static size_t end_of_question(const uint8_t *packet, size_t size)
{
    size_t at = HEADER;
    while (at < size && packet[at]) {
        if (packet[at] > 63) {
            return 0;
        }
        at += 1u + packet[at];
    }
    return at + 5 <= size ? at + 5 : 0; /* the name's end, type, class */
}

size_t earshot_dns_answer(uint8_t *packet, size_t size, const uint8_t address[4])
{
    const uint8_t record[RECORD] = {0xc0, HEADER, 0, A, 0,          IN,         0,          0,
                                    0,    30,     0, 4, address[0], address[1], address[2], address[3]};
    bool is_question =
        size >= HEADER && size <= EARSHOT_DNS_MOST && !(packet[2] & 0xf8) && !packet[4] && packet[5] == 1;
    size_t end = is_question ? end_of_question(packet, size) : 0;
    if (!end || end + RECORD > EARSHOT_DNS_MOST) {
        return 0;
    }
    bool has_answer = !packet[end - 4] && packet[end - 3] == A && !packet[end - 2] && packet[end - 1] == IN;
    packet[2] = (uint8_t)(0x84 | (packet[2] & 1)); /* an answer, by who knows; recursion as it was wanted */
    packet[3] = 0;
    memset(packet + 6, 0, 6);
    packet[7] = has_answer;
    if (!has_answer) {
        return end;
    }
    memcpy(packet + end, record, RECORD);
    return end + RECORD;
}
