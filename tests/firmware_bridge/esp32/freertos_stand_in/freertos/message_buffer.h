#ifndef MESSAGE_BUFFER_STAND_IN_H
#define MESSAGE_BUFFER_STAND_IN_H

#include "FreeRTOS.h"

/* As FreeRTOS has it: a ring of bytes, each message behind its length. */
typedef struct {
    size_t room, held;
    uint8_t *bytes;
} *MessageBufferHandle_t;

static inline MessageBufferHandle_t xMessageBufferCreate(size_t room)
{
    MessageBufferHandle_t buffer = malloc(sizeof *buffer);
    buffer->room = room;
    buffer->held = 0;
    buffer->bytes = malloc(room);
    return buffer;
}

static inline size_t xMessageBufferSend(MessageBufferHandle_t buffer, const void *message, size_t size, TickType_t wait)
{
    (void)wait;
    if (buffer->room - buffer->held < size + sizeof size) {
        return 0;
    }
    memcpy(buffer->bytes + buffer->held, &size, sizeof size);
    memcpy(buffer->bytes + buffer->held + sizeof size, message, size);
    buffer->held += sizeof size + size;
    return size;
}

static inline size_t xMessageBufferReceive(MessageBufferHandle_t buffer, void *message, size_t room, TickType_t wait)
{
    size_t size;
    (void)wait;
    if (!buffer->held) {
        return 0;
    }
    memcpy(&size, buffer->bytes, sizeof size);
    if (size > room) {
        return 0;
    }
    memcpy(message, buffer->bytes + sizeof size, size);
    buffer->held -= sizeof size + size;
    memmove(buffer->bytes, buffer->bytes + sizeof size + size, buffer->held);
    return size;
}

#endif
