#include "earshot_line.h"
#include "wire.h"

static uint32_t ups;
static bool was_there;

static esp_err_t open_line(const earshot_settings *settings)
{
    return earshot_this_line()->open(settings->baud);
}

static size_t write_line(const uint8_t *bytes, size_t size)
{
    return earshot_this_line()->write(bytes, size);
}

static size_t read_line(uint8_t *bytes, size_t room)
{
    return earshot_this_line()->read(bytes, room);
}

static uint32_t times_up(void)
{
    bool there = earshot_this_line()->there();
    ups += there && !was_there;
    was_there = there;
    return there ? ups : 0;
}

const earshot_wire earshot_wire_serial = {EARSHOT_SERIAL, open_line, write_line, read_line, times_up};
