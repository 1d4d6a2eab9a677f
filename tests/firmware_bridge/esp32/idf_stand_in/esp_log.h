#ifndef ESP_LOG_STAND_IN_H
#define ESP_LOG_STAND_IN_H

#include <stdarg.h>
#include <stdio.h>

#define ESP_LOGE(tag, format, ...) fprintf(stderr, "E %s: " format "\n", tag, ##__VA_ARGS__)
#define ESP_LOGW(tag, format, ...) fprintf(stderr, "W %s: " format "\n", tag, ##__VA_ARGS__)
typedef int (*vprintf_like_t)(const char *, va_list);
static inline vprintf_like_t esp_log_set_vprintf(vprintf_like_t to)
{
    return to;
}

#endif
