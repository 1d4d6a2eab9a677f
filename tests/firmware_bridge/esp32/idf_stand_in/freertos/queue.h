#ifndef QUEUE_STAND_IN_H
#define QUEUE_STAND_IN_H

#include "message_buffer.h"

typedef struct {
    MessageBufferHandle_t items;
    size_t size;
} *QueueHandle_t;

static inline QueueHandle_t xQueueCreate(unsigned length, unsigned size)
{
    QueueHandle_t queue = malloc(sizeof *queue);
    queue->items = xMessageBufferCreate(length * (size + sizeof(size_t)));
    queue->size = size;
    return queue;
}

static inline BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t wait)
{
    return xMessageBufferSend(queue->items, item, queue->size, wait) > 0;
}

static inline BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t wait)
{
    return xMessageBufferReceive(queue->items, item, queue->size, wait) > 0;
}

#endif
