#include <stdint.h>
#include <sys/random.h>

static inline uint32_t esp_random(void)
{
    uint32_t number = 0;
    return getrandom(&number, sizeof number, 0) == sizeof number ? number : 4;
}
