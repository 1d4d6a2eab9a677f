/* Earshot for Arduino: a device over any Stream (Serial, a USB port, a SoftwareSerial). Header only, over the C library
 * beside it; earshot.h says what everything means.
 *
 *     EarshotDevice<50> earshot(Serial);            // keeps 50 frames of 20 ms: a second, in 33 KB
 *
 * One task: call poll() as often as loop() comes round, every 20 ms at least. Nothing waits and nothing is allocated.
 */
#ifndef EARSHOT_DEVICE_H
#define EARSHOT_DEVICE_H

#include <Arduino.h>

#include "earshot.h"
#include "earshot_adpcm.h"

/* frames: what is kept while the gateway is away. A frame has 320 samples of PCM16 (20 ms). */
template <size_t frames> class EarshotDevice
{
  public:
    /* what: EARSHOT_T_STATUS, _PARTIAL, _TRANSCRIPT, _REPLY or _FAULT; the text is UTF-8 and ends with a zero (STATUS:
     * empty, see frame.code). */
    typedef void (*Heard)(uint8_t what, const char *text, const earshot_frame &frame);

    static const size_t SAMPLES = 320;

    explicit EarshotDevice(Stream &line) : line_(line)
    {
    }

    /* id: 1 to 64 of A-Z a-z 0-9 _ -, single dots between. boot: a random number, another one at each power-on.
       False: the id cannot be. */
    bool begin(const char *id, uint32_t boot, Heard heard = nullptr)
    {
        earshot_config config = earshot_config();
        heard_ = heard;
        stream_ = 0; /* what was said before it was begun again is over */
        config.id = id;
        config.boot = boot;
        config.firmware = "Arduino, earshot " EARSHOT_VERSION;
        config.ring = ring_;
        config.ring_size = sizeof ring_;
        config.frame_size = SAMPLES * sizeof(int16_t);
        config.port.context = this;
        config.port.write = write;
        config.port.hear = hear;
        if (earshot_init(&device_, &config) != EARSHOT_OK) {
            return false;
        }
        earshot_carrier_up(&device_, EARSHOT_SERIAL, millis());
        return true;
    }

    void poll()
    {
        uint8_t bytes[64];
        size_t count = 0;
        while (line_.available() > 0) {
            bytes[count++] = static_cast<uint8_t>(line_.read());
            if (count == sizeof bytes || line_.available() <= 0) {
                earshot_receive(&device_, bytes, count, millis());
                count = 0;
            }
        }
        earshot_poll(&device_, millis());
    }

    bool linked() const
    {
        return earshot_where(&device_) == EARSHOT_LINKED;
    }
    bool talking() const
    {
        return stream_ != 0;
    }

    /* Begins to talk; endOnSilence: the gateway finds the end. */
    bool start(bool endOnSilence = false)
    {
        return talking() || earshot_start(&device_, endOnSilence, &stream_) == EARSHOT_OK;
    }

    /* The next samples, at most SAMPLES, 16 kHz. False: no room, they are lost and counted. */
    bool audio(const int16_t *samples, size_t count)
    {
        uint32_t length = static_cast<uint32_t>(count);
        return talking() &&
               earshot_audio(&device_, stream_, EARSHOT_PCM16, samples, count * sizeof *samples, length) == EARSHOT_OK;
    }

    void stop()
    {
        if (talking()) {
            earshot_stop(&device_, stream_);
            stream_ = 0;
        }
    }

    /* For all that this class has no name for: earshot_notify, earshot_log, earshot_count. */
    earshot_device *device()
    {
        return &device_;
    }

  private:
    /* What the line's buffer takes now. A line that does not know (0 for ever) is given a little, and may wait. */
    static size_t write(void *context, const uint8_t *bytes, size_t size)
    {
        EarshotDevice *self = static_cast<EarshotDevice *>(context);
        int room = self->line_.availableForWrite();
        self->knows_room_ = self->knows_room_ || room > 0;
        size_t most = room > 0 ? static_cast<size_t>(room) : self->knows_room_ ? 0 : 16;
        return most ? self->line_.write(bytes, size < most ? size : most) : 0;
    }

    static void hear(void *context, const earshot_frame *frame)
    {
        EarshotDevice *self = static_cast<EarshotDevice *>(context);
        bool told = frame->type == EARSHOT_T_STATUS || frame->type == EARSHOT_T_PARTIAL ||
                    frame->type == EARSHOT_T_TRANSCRIPT || frame->type == EARSHOT_T_REPLY ||
                    frame->type == EARSHOT_T_FAULT;
        if (!self->heard_ || !told) {
            return;
        }
        size_t size = frame->text ? frame->text_size : 0u;
        size = size < sizeof self->text_ ? size : sizeof self->text_ - 1;
        if (size) {
            memcpy(self->text_, frame->text, size);
        }
        self->text_[size] = 0;
        self->heard_(frame->type, self->text_, *frame);
    }

    Stream &line_;
    Heard heard_ = nullptr;
    uint16_t stream_ = 0;
    bool knows_room_ = false;
    earshot_device device_;
    char text_[EARSHOT_MTU + 1];
    alignas(4) uint8_t ring_[frames * EARSHOT_SLOT(640)];
};

#endif
