#ifndef MESSAGE_BUFFER_STAND_IN_H
#define MESSAGE_BUFFER_STAND_IN_H

#include "FreeRTOS.h"

/* As FreeRTOS has it: a ring of bytes, each message behind its length. Nothing waits. */
typedef struct {
    pthread_mutex_t lock;
    size_t room, held;
    uint8_t *bytes;
} *MessageBufferHandle_t;

static inline MessageBufferHandle_t xMessageBufferCreate(size_t room)
{
    MessageBufferHandle_t buffer = calloc(1, sizeof *buffer);
    pthread_mutex_init(&buffer->lock, NULL);
    buffer->room = room;
    buffer->bytes = malloc(room);
    return buffer;
}

static inline size_t xMessageBufferSend(MessageBufferHandle_t buffer, const void *message, size_t size, TickType_t wait)
{
    (void)wait;
    pthread_mutex_lock(&buffer->lock);
    size_t taken = buffer->room - buffer->held < size + sizeof size ? 0 : size;
    if (taken) {
        memcpy(buffer->bytes + buffer->held, &size, sizeof size);
        memcpy(buffer->bytes + buffer->held + sizeof size, message, size);
        buffer->held += sizeof size + size;
    }
    pthread_mutex_unlock(&buffer->lock);
    return taken;
}

static inline size_t xMessageBufferReceive(MessageBufferHandle_t buffer, void *message, size_t room, TickType_t wait)
{
    size_t size = 0;
    (void)wait;
    pthread_mutex_lock(&buffer->lock);
    if (buffer->held) {
        memcpy(&size, buffer->bytes, sizeof size);
    }
    size = size > room ? 0 : size;
    if (size) {
        memcpy(message, buffer->bytes + sizeof size, size);
        buffer->held -= sizeof size + size;
        memmove(buffer->bytes, buffer->bytes + sizeof size + size, buffer->held);
    }
    pthread_mutex_unlock(&buffer->lock);
    return size;
}

#endif
