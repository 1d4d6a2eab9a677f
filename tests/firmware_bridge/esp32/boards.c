/* Prints the table of boards, a line of JSON for each: for the tests, and for the docs. */
#include <stdio.h>

#include "earshot_boards.h"

int main(void)
{
    static const char *const mics[] = {"I2S", "PDM", "ES7210", "ES8311"};
    static const char *const leds[] = {"none", "plain", "plain, low", "RGB"};
    for (int i = 0; i < EARSHOT_BOARDS; i++) {
        const earshot_board *b = &earshot_boards[i];
        printf("{\"name\": \"%s\", \"chip\": \"%s\", \"source\": \"%s\", \"mic\": \"%s\", \"led\": \"%s\", \"remark\": "
               "\"%s\", \"pins\": {",
               b->name, b->chip, b->source, mics[b->mic], leds[b->led], b->remark);
        printf("\"in.mclk\": %d, \"in.bclk\": %d, \"in.ws\": %d, \"in.data\": %d, ", b->in.mclk, b->in.bclk, b->in.ws,
               b->in.data);
        printf("\"codec.sda\": %d, \"codec.scl\": %d, ", b->codec.sda, b->codec.scl);
        printf("\"out.bclk\": %d, \"out.ws\": %d, \"out.data\": %d, \"out.amplifier\": %d, ", b->out.bclk, b->out.ws,
               b->out.data, b->out.amplifier);
        printf("\"button\": %d, \"led\": %d}}\n", b->button, b->led_pin);
    }
    return 0;
}
