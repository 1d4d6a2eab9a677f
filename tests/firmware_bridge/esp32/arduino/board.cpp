/* The sketch as a program: Serial is stdin and stdout, the microphone hears a ramp, and the button is held until the
 * sketch was polled for the number of rounds that the command line says. Then it is let go, and the program ends when
 * stdin does.
 */
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ESP_I2S.h"

void setup();
void loop();

HardwareSerial Serial, Serial1;
static long held;
static bool ended;

void HardwareSerial::begin(unsigned long, uint32_t, int8_t, int8_t) {}
size_t HardwareSerial::setRxBufferSize(size_t size) { return size; }
size_t HardwareSerial::setTxBufferSize(size_t size) { return size; }
int HardwareSerial::peek() { return -1; }
size_t HardwareSerial::write(uint8_t byte) { return write(&byte, 1); }
int HardwareSerial::availableForWrite() { return 128; }

int HardwareSerial::available()
{
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    return this == &Serial && !ended && poll(&in, 1, 0) == 1;
}

int HardwareSerial::read()
{
    unsigned char byte = 0;
    ended = ::read(STDIN_FILENO, &byte, 1) != 1;
    return byte;
}

size_t HardwareSerial::write(const uint8_t *buffer, size_t size)
{
    ssize_t count = ::write(this == &Serial ? STDOUT_FILENO : STDERR_FILENO, buffer, size);
    return count > 0 ? static_cast<size_t>(count) : 0;
}

unsigned long millis()
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<unsigned long>(now.tv_sec) * 1000 + static_cast<unsigned long>(now.tv_nsec / 1000000);
}

void pinMode(uint8_t, uint8_t) {}
int digitalRead(uint8_t) { return held > 0 && held-- ? 0 : 1; }
uint32_t esp_random(void) { return 7; }
void I2SClass::setPins(int8_t, int8_t, int8_t, int8_t, int8_t) {}
bool I2SClass::begin(i2s_mode_t, uint32_t, i2s_data_bit_width_t, i2s_slot_mode_t, int8_t) { return true; }

size_t I2SClass::readBytes(char *buffer, size_t size)
{
    static int32_t level;
    for (size_t at = 0; at + 4 <= size; at += 4, level = (level + 64) % 4096) {
        int32_t slot = level * 65536 / 8;
        memcpy(buffer + at, &slot, 4);
    }
    usleep(1000);
    return size;
}

int main(int, char **arguments)
{
    held = atol(arguments[1]);
    setup();
    while (!ended) {
        loop();
    }
    return 0;
}
