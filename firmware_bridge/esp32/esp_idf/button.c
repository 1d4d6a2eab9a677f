#include "earshot_button.h"

#include "driver/gpio.h"
#include "esp_attr.h"
#include "esp_check.h"

#define BOUNCE_MS 30

static const char *const TAG = "earshot";
static int pin = -1;
static void (*woken)(void);
static bool held, seen;
static uint32_t seen_since;

static void IRAM_ATTR edge(void *unused)
{
    (void)unused;
    woken();
}

esp_err_t earshot_button_open(int of, void (*wake)(void))
{
    pin = of;
    woken = wake;
    if (pin < 0) {
        return ESP_OK;
    }
    gpio_config_t config = {
        .pin_bit_mask = 1ULL << pin,
        .mode = GPIO_MODE_INPUT,
        /* The ESP32's 34 to 39 can neither put out nor pull up: boards that use them have a resistor there. */
        .pull_up_en = GPIO_IS_VALID_OUTPUT_GPIO(pin) ? GPIO_PULLUP_ENABLE : GPIO_PULLUP_DISABLE,
        .intr_type = wake ? GPIO_INTR_ANYEDGE : GPIO_INTR_DISABLE,
    };
    ESP_RETURN_ON_ERROR(gpio_config(&config), TAG, "button at %d", pin);
    if (!wake) {
        return ESP_OK;
    }
    esp_err_t service = gpio_install_isr_service(0);
    ESP_RETURN_ON_FALSE(service == ESP_OK || service == ESP_ERR_INVALID_STATE, service, TAG,
                        "button"); /* there may be one */
    return gpio_isr_handler_add((gpio_num_t)pin, edge, NULL);
}

bool earshot_button_held(uint32_t now_ms)
{
    if (pin < 0) {
        return false;
    }
    bool low = gpio_get_level((gpio_num_t)pin) == 0;
    if (low != seen) {
        seen = low;
        seen_since = now_ms;
    }
    if (now_ms - seen_since >= BOUNCE_MS) {
        held = seen;
    }
    return held;
}
