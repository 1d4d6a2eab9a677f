#ifndef ESP_CHECK_STAND_IN_H
#define ESP_CHECK_STAND_IN_H

#include "esp_err.h"
#include "esp_log.h"

#define ESP_RETURN_ON_FALSE(is_so, error, tag, format, ...) \
    do {                                                    \
        if (!(is_so)) {                                     \
            ESP_LOGE(tag, format, ##__VA_ARGS__);           \
            return (error);                                 \
        }                                                   \
    } while (0)
#define ESP_RETURN_ON_ERROR(done, tag, format, ...) \
    do {                                            \
        esp_err_t error_ = (done);                  \
        if (error_) {                               \
            ESP_LOGE(tag, format, ##__VA_ARGS__);   \
            return error_;                          \
        }                                           \
    } while (0)

#endif
