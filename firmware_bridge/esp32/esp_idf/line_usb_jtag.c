#include "earshot_line.h"
#include "soc/soc_caps.h"

#if SOC_USB_SERIAL_JTAG_SUPPORTED

#include "driver/usb_serial_jtag.h"
#include "esp_idf_version.h"

static esp_err_t open_usb(uint32_t baud)
{
    (void)baud;
    usb_serial_jtag_driver_config_t config = {.tx_buffer_size = 4096, .rx_buffer_size = 4096};
    return usb_serial_jtag_driver_install(&config);
}

/* The driver takes all or nothing, and while the host reads nothing, nothing: the device's ring waits. */
static size_t write_usb(const uint8_t *bytes, size_t size)
{
    int taken = usb_serial_jtag_write_bytes(bytes, size, 0);
    return taken > 0 ? (size_t)taken : 0;
}

static size_t read_usb(uint8_t *bytes, size_t room)
{
    int count = usb_serial_jtag_read_bytes(bytes, (uint32_t)room, 0);
    return count > 0 ? (size_t)count : 0;
}

static bool usb_is_there(void)
{
#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 3, 0)
    return usb_serial_jtag_is_connected();
#else
    return true;
#endif
}

const earshot_line earshot_line_usb_jtag = {"USB serial/JTAG", open_usb, write_usb, read_usb, usb_is_there};

#endif
