/* Improv over a serial line: a page in a browser, a telephone or `earshot` tells the board its Wi-Fi, without a cable
 * of its own and without a firmware made for this house. The protocol is https://www.improv-wifi.com/serial (version
 * 1).
 *
 *     "IMPROV" 0x01 TYPE LENGTH data CHECKSUM '\n'      CHECKSUM: the sum of all bytes before it, modulo 256
 *
 * Every byte of the line is shown to it, those of Earshot's frames included: what is no packet with a right checksum is
 * nothing to it. It answers only what it is asked, so a gateway on the same line sees nothing of it.
 *
 * One task at a time. Nothing is allocated, nothing blocks: joining a Wi-Fi and scanning are the owner's, who says here
 * how they went. `out` and the other functions are called from within the functions below, in the caller's task.
 */
#ifndef EARSHOT_IMPROV_H
#define EARSHOT_IMPROV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EARSHOT_IMPROV_SSID_MOST 32
#define EARSHOT_IMPROV_PASSWORD_MOST 64
#define EARSHOT_IMPROV_HEAD 9 /* before the data */

typedef enum { EARSHOT_IMPROV_READY = 2, EARSHOT_IMPROV_JOINING = 3, EARSHOT_IMPROV_JOINED = 4 } earshot_improv_state;

typedef struct {
    void *owner;
    /* Bytes for the line, one packet with its newline. They are the callee's until it returns. */
    void (*out)(void *owner, const uint8_t *bytes, size_t count);
    /* Join this Wi-Fi; then earshot_improv_joined or earshot_improv_failed. Both texts end in a zero and are valid
     * until the return only. */
    void (*join)(void *owner, const char *ssid, const char *password);
    /* Look for networks; then earshot_improv_network for each and earshot_improv_networks_end. NULL: it cannot. */
    void (*scan)(void *owner);
    const char *firmware, *version, *chip, *name; /* texts for people, at most 48 bytes of each are told */
} earshot_improv_port;

typedef struct {
    earshot_improv_port port;
    earshot_improv_state state;
    uint8_t packet[EARSHOT_IMPROV_HEAD + 256];
    uint16_t held;
    uint8_t scanning;
    const char *url; /* where the joined board's page is: the gateway's; NULL: nowhere */
} earshot_improv;

/* port is copied, its texts are kept. `joined`: it has a Wi-Fi already. */
void earshot_improv_init(earshot_improv *improv, const earshot_improv_port *port, int joined);

/* Bytes of the line, in any pieces. */
void earshot_improv_feed(earshot_improv *improv, const uint8_t *bytes, size_t count);

/* The Wi-Fi was joined; `url` (kept; NULL: none) is where a browser may go now. */
void earshot_improv_joined(earshot_improv *improv, const char *url);

/* It was not: the password is wrong, or nobody calls himself so. */
void earshot_improv_failed(earshot_improv *improv);

/* The Wi-Fi in the data of a command to join one: length, name, length, password. `ssid` and `password` have room for
 * the most and a zero. False: they do not fill the data, are too long, or have a zero within. (Improv over Bluetooth
 * has the same.) */
bool earshot_improv_wifi(const uint8_t *data, size_t count, char *ssid, char *password);

/* A network that was found, and the end of them all. Nothing is told that was not asked for. */
void earshot_improv_network(earshot_improv *improv, const char *ssid, int rssi, int asks_for_password);
void earshot_improv_networks_end(earshot_improv *improv);

#ifdef __cplusplus
}
#endif

#endif
