/* A stand-in for Arduino's core, for compiling and running Earshot's wrapper on a PC: the little of Print, Stream and
 * HardwareSerial that it uses, declared as the ArduinoCore-API and arduino-esp32 3 declare them. */
#ifndef ARDUINO_STAND_IN_H
#define ARDUINO_STAND_IN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INPUT_PULLUP 0x05
#define LOW 0x0
#define SERIAL_8N1 0x800001c

class Print
{
  public:
    virtual ~Print()
    {
    }
    virtual size_t write(uint8_t byte) = 0;
    virtual size_t write(const uint8_t *buffer, size_t size) = 0;
    virtual int availableForWrite()
    {
        return 0;
    }
    size_t println(const char text[])
    {
        return write(reinterpret_cast<const uint8_t *>(text), strlen(text));
    }
};

class Stream : public Print
{
  public:
    virtual int available() = 0;
    virtual int read() = 0;
    virtual int peek() = 0;
};

class HardwareSerial : public Stream
{
  public:
    void begin(unsigned long baud, uint32_t config = SERIAL_8N1, int8_t rxPin = -1, int8_t txPin = -1);
    size_t setRxBufferSize(size_t size);
    size_t setTxBufferSize(size_t size);
    int available() override;
    int read() override;
    int peek() override;
    size_t write(uint8_t byte) override;
    size_t write(const uint8_t *buffer, size_t size) override;
    int availableForWrite() override;
};

extern HardwareSerial Serial, Serial1;

unsigned long millis();
void pinMode(uint8_t pin, uint8_t mode);
int digitalRead(uint8_t pin);
extern "C" uint32_t esp_random(void);

#endif
