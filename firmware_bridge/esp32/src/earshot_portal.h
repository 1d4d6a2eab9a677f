/* What a set-up page on a board reads from strangers: the form that a browser sends, and the questions that a telephone
 * asks of DNS before it shows the page. Pure functions; any task.
 */
#ifndef EARSHOT_PORTAL_H
#define EARSHOT_PORTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EARSHOT_DNS_MOST 512 /* bytes of a packet */

/* A field of an application/x-www-form-urlencoded form, as it was typed, with a zero at its end. False: it is not
 * there, does not fit into `room` bytes, or has a zero within it. `form` ends with a zero. */
bool earshot_form_field(const char *form, const char *name, char *out, size_t room);

/* Makes an answer of a question, in place: whatever name it asks the IPv4 address of has ours; of other questions that
 * there is no answer. `packet` has EARSHOT_DNS_MOST bytes. Returns the answer's size; 0: that was no question, say
 * nothing. */
size_t earshot_dns_answer(uint8_t *packet, size_t size, const uint8_t address[4]);

#ifdef __cplusplus
}
#endif

#endif
