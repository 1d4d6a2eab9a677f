#include "driver/uart.h"
#include "earshot_line.h"
#include "esp_check.h"
#include "sdkconfig.h"

#define PORT ((uart_port_t)CONFIG_EARSHOT_UART_PORT)
#define RECEIVED 4096 /* 40 ms at 921600 baud */
#define SENT 2048
#define ITEM 32 /* of the driver's ring buffer, besides the bytes */

static const char *const TAG = "earshot";

static esp_err_t open_uart(uint32_t baud)
{
    uart_config_t config = {
        .baud_rate = (int)baud,
        .data_bits = UART_DATA_8_BITS,
        .parity = UART_PARITY_DISABLE,
        .stop_bits = UART_STOP_BITS_1,
        .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
        .source_clk = UART_SCLK_DEFAULT,
    };
    ESP_RETURN_ON_ERROR(uart_driver_install(PORT, RECEIVED, SENT, 0, NULL, 0), TAG, "UART %d", PORT);
    ESP_RETURN_ON_ERROR(uart_param_config(PORT, &config), TAG, "UART %d at %lu baud", PORT, (unsigned long)baud);
    return uart_set_pin(PORT, CONFIG_EARSHOT_UART_TX, CONFIG_EARSHOT_UART_RX, UART_PIN_NO_CHANGE, UART_PIN_NO_CHANGE);
}

static size_t write_uart(const uint8_t *bytes, size_t size)
{
    size_t room = 0;
    if (uart_get_tx_buffer_free_size(PORT, &room) != ESP_OK || room <= ITEM) {
        return 0;
    }
    size_t most = room - ITEM;
    int taken = uart_write_bytes(PORT, bytes, size < most ? size : most);
    return taken > 0 ? (size_t)taken : 0;
}

static size_t read_uart(uint8_t *bytes, size_t room)
{
    int count = uart_read_bytes(PORT, bytes, (uint32_t)room, 0);
    return count > 0 ? (size_t)count : 0;
}

static bool always(void)
{
    return true;
}

const earshot_line earshot_line_uart = {"UART", open_uart, write_uart, read_uart, always};
