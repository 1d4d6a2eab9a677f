#include "earshot_line.h"
#include "sdkconfig.h"

const earshot_line *earshot_this_line(void)
{
#if CONFIG_EARSHOT_SERIAL_USB_JTAG
    return &earshot_line_usb_jtag;
#elif CONFIG_EARSHOT_SERIAL_USB_CDC
    return &earshot_line_usb_cdc;
#else
    return &earshot_line_uart;
#endif
}
