#include "earshot_line.h"
#include "sdkconfig.h"
#include "soc/soc_caps.h"

#if SOC_USB_OTG_SUPPORTED && CONFIG_TINYUSB_CDC_ENABLED

#include <stdatomic.h>

#include "esp_check.h"
#include "tinyusb.h"
#include "tinyusb_cdc_acm.h"
#include "tinyusb_default_config.h"

static const char *const TAG = "earshot";
static atomic_bool is_open;

/* In TinyUSB's task. A gateway that has the port open says so by DTR. */
static void line_state(int port, cdcacm_event_t *event)
{
    (void)port;
    atomic_store(&is_open, event->line_state_changed_data.dtr);
}

static esp_err_t open_cdc(uint32_t baud)
{
    (void)baud;
    const tinyusb_config_t usb = TINYUSB_DEFAULT_CONFIG();
    const tinyusb_config_cdcacm_t port = {.cdc_port = TINYUSB_CDC_ACM_0, .callback_line_state_changed = line_state};
    ESP_RETURN_ON_ERROR(tinyusb_driver_install(&usb), TAG, "TinyUSB");
    return tinyusb_cdcacm_init(&port);
}

static size_t write_cdc(const uint8_t *bytes, size_t size)
{
    size_t taken = tinyusb_cdcacm_write_queue(TINYUSB_CDC_ACM_0, bytes, size);
    tinyusb_cdcacm_write_flush(TINYUSB_CDC_ACM_0, 0);
    return taken;
}

static size_t read_cdc(uint8_t *bytes, size_t room)
{
    size_t count = 0;
    return tinyusb_cdcacm_read(TINYUSB_CDC_ACM_0, bytes, room, &count) == ESP_OK ? count : 0;
}

static bool cdc_is_there(void)
{
    return atomic_load(&is_open);
}

const earshot_line earshot_line_usb_cdc = {"USB CDC", open_cdc, write_cdc, read_cdc, cdc_is_there};

#endif
