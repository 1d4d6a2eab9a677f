#ifndef TASK_STAND_IN_H
#define TASK_STAND_IN_H

#include <errno.h>
#include <time.h>

#include "FreeRTOS.h"

typedef struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given;
    unsigned notes;
    void (*run)(void *);
    void *context;
} *TaskHandle_t;

extern _Thread_local TaskHandle_t this_task;

static inline void *task_begins(void *task)
{
    this_task = task;
    this_task->run(this_task->context);
    return NULL;
}

static inline BaseType_t xTaskCreate(void (*run)(void *), const char *name, uint32_t stack, void *context,
                                     unsigned priority, TaskHandle_t *made)
{
    TaskHandle_t task = calloc(1, sizeof *task);
    (void)name;
    (void)stack;
    (void)priority;
    pthread_mutex_init(&task->lock, NULL);
    pthread_cond_init(&task->given, NULL);
    task->run = run;
    task->context = context;
    if (made) {
        *made = task;
    }
    return pthread_create(&task->thread, NULL, task_begins, task) == 0 ? pdPASS : pdFALSE;
}

static inline void xTaskNotifyGive(TaskHandle_t task)
{
    pthread_mutex_lock(&task->lock);
    task->notes++;
    pthread_cond_signal(&task->given);
    pthread_mutex_unlock(&task->lock);
}

static inline void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *switches)
{
    *switches = pdFALSE;
    xTaskNotifyGive(task);
}

static inline uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t wait)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(wait % 1000) * 1000000;
    until.tv_sec += (time_t)(wait / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&this_task->lock);
    while (!this_task->notes && pthread_cond_timedwait(&this_task->given, &this_task->lock, &until) != ETIMEDOUT) {
    }
    uint32_t notes = this_task->notes;
    this_task->notes = clear || !notes ? 0 : notes - 1;
    pthread_mutex_unlock(&this_task->lock);
    return notes;
}

#endif
