/* An update beside the device of a jig, whose port's functions are the test's. */
#include "jig.c"

#include "earshot_update.h"

typedef struct {
    jig *jig;
    earshot_update update;
} updating;

static size_t write_beside(void *context, const uint8_t *bytes, size_t size)
{
    return write_some(((updating *)context)->jig, bytes, size);
}

static void hear_beside(void *context, const earshot_frame *frame)
{
    updating *one = context;
    earshot_update_hear(&one->update, frame);
    hear(one->jig, frame);
}

void *update_new(jig *device, uint32_t number, uint32_t trial_ms, const earshot_update_port *port, uint32_t now)
{
    updating *one = calloc(1, sizeof *one);
    if (!one) abort();
    one->jig = device;
    device->device.config.port.context = one;
    device->device.config.port.write = write_beside;
    device->device.config.port.hear = hear_beside;
    const earshot_update_config config = {.number = number, .trial_ms = trial_ms, .port = *port};
    earshot_update_init(&one->update, &device->device, &config, now);
    return one;
}

void update_free(updating *one)
{
    free(one);
}

uint32_t update_poll(updating *one, uint32_t now)
{
    return earshot_update_poll(&one->update, now);
}

int update_where(const updating *one)
{
    return (int)earshot_update_where(&one->update);
}

size_t update_size(void)
{
    return sizeof(earshot_update);
}
