/* A board that is told its Wi-Fi over stdin and stdout: earshot_improv, a house with two networks, and a password. */
#include <string.h>
#include <unistd.h>

#include "earshot_improv.h"

static earshot_improv improv;

static void out(void *owner, const uint8_t *bytes, size_t count)
{
    (void)owner;
    if (write(STDOUT_FILENO, bytes, count) != (ssize_t)count) {
        _exit(1);
    }
}

static void join(void *owner, const char *ssid, const char *password)
{
    (void)owner;
    if (!strcmp(ssid, "House") && !strcmp(password, "correct horse")) {
        earshot_improv_joined(&improv, "http://box:8080/");
    } else {
        earshot_improv_failed(&improv);
    }
}

static void scan(void *owner)
{
    (void)owner;
    earshot_improv_network(&improv, "House", -57, 1);
    earshot_improv_network(&improv, "Guests", -80, 0);
    earshot_improv_networks_end(&improv);
}

int main(void)
{
    const earshot_improv_port port = {.out = out,
                                      .join = join,
                                      .scan = scan,
                                      .firmware = "Earshot",
                                      .version = "0.1.0",
                                      .chip = "ESP32-C3",
                                      .name = "kitchen"};
    uint8_t bytes[64];
    ssize_t count;
    earshot_improv_init(&improv, &port, 0);
    while ((count = read(STDIN_FILENO, bytes, sizeof bytes)) > 0) {
        earshot_improv_feed(&improv, bytes, (size_t)count);
    }
    return 0;
}
