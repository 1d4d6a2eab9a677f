/* Serial lines: how bytes reach the box by cable. One task at a time; nothing waits. */
#ifndef EARSHOT_LINE_H
#define EARSHOT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name;
    esp_err_t (*open)(uint32_t baud);                   /* once; USB has no rate */
    size_t (*write)(const uint8_t *bytes, size_t size); /* takes what fits now, says how much */
    size_t (*read)(uint8_t *bytes, size_t room);        /* what came, at most `room` */
    bool (*there)(void); /* somebody is at the other end; a UART cannot know and says yes */
} earshot_line;

extern const earshot_line earshot_line_uart;
extern const earshot_line earshot_line_usb_jtag; /* the chip's USB serial/JTAG: C3, S3, C6 and others */
extern const earshot_line earshot_line_usb_cdc;  /* esp_tinyusb: S2, S3, P4 */

/* The one that Kconfig chose. */
const earshot_line *earshot_this_line(void);

#ifdef __cplusplus
}
#endif

#endif
