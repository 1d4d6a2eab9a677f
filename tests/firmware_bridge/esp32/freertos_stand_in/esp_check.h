#ifndef ESP_CHECK_STAND_IN_H
#define ESP_CHECK_STAND_IN_H

#include "esp_err.h"

#define ESP_RETURN_ON_FALSE(is_so, error, tag, ...) do { (void)(tag); if (!(is_so)) return (error); } while (0)

#endif
