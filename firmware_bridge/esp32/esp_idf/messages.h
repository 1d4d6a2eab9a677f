/* Frames as messages, between the link's task, which never waits, and network clients, which do: two queues, and a task
 * of its own that sends (clients that are called from two tasks at once mix their bytes up).
 */
#ifndef EARSHOT_MESSAGES_H
#define EARSHOT_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#define EARSHOT_MESSAGE 2068 /* bytes of a frame at most */

/* send: in the sending task; may wait. False: the connection is gone, and what waits is not worth sending. */
esp_err_t earshot_messages_open(bool (*send)(const uint8_t *bytes, size_t size));

/* The client's side. Connections are counted: what was written for one is not sent on the next. */
void earshot_messages_up(void);
void earshot_messages_down(void);
void earshot_messages_came(const uint8_t *bytes, size_t size);

/* The link's side, as in earshot_wire. */
size_t earshot_messages_write(const uint8_t *bytes, size_t size);
size_t earshot_messages_read(uint8_t *bytes, size_t room);
uint32_t earshot_messages_times_up(void);

#endif
