/* For where there is no libFuzzer: every input of the folders given, and so many more (-runs=) that are made of them by
 * chance (-seed=). */
#include "promises.h"

#include <dirent.h>

enum { MOST = 512, LONGEST = 4096 };

static struct {
    uint8_t *bytes;
    size_t size;
} inputs[MOST];
static size_t count;
static uint32_t chance = 1;

static uint32_t drawn(uint32_t below)
{
    chance ^= chance << 13;
    chance ^= chance >> 17;
    chance ^= chance << 5;
    return chance % below;
}

static void read_input(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || count == MOST) exit(2);
    inputs[count].bytes = malloc(LONGEST);
    if (!inputs[count].bytes) exit(2);
    inputs[count].size = fread(inputs[count].bytes, 1, LONGEST, file);
    count++;
    fclose(file);
}

static void read_inputs(const char *folder)
{
    DIR *open = opendir(folder);
    if (!open) exit(2);
    for (struct dirent *entry; (entry = readdir(open));)
        if (entry->d_name[0] != '.') read_input(folder, entry->d_name);
    closedir(open);
}

/* One of them with some bytes changed, doubled or gone, in memory of just its size. */
static void try_another(void)
{
    static uint8_t made[2 * LONGEST];
    const uint32_t which = drawn((uint32_t)count), other = drawn((uint32_t)count);
    size_t size = inputs[which].size;
    memcpy(made, inputs[which].bytes, size);
    if (drawn(4) == 0) {
        memcpy(made + size, inputs[other].bytes, inputs[other].size);
        size += inputs[other].size;
    }
    for (uint32_t turn = drawn(8); turn && size; turn--) made[drawn((uint32_t)size)] = (uint8_t)drawn(256);
    if (size && drawn(4) == 0) size = drawn((uint32_t)size);
    uint8_t *data = malloc(size ? size : 1);
    if (!data) exit(2);
    memcpy(data, made, size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv)
{
    unsigned long runs = 0;
    for (int at = 1; at < argc; at++) {
        if (!strncmp(argv[at], "-runs=", 6))
            runs = strtoul(argv[at] + 6, NULL, 10);
        else if (!strncmp(argv[at], "-seed=", 6))
            chance = (uint32_t)strtoul(argv[at] + 6, NULL, 10) | 1u;
        else if (argv[at][0] != '-')
            read_inputs(argv[at]);
    }
    for (size_t at = 0; at < count; at++) LLVMFuzzerTestOneInput(inputs[at].bytes, inputs[at].size);
    for (unsigned long run = 0; run < runs && count; run++) try_another();
    fprintf(stderr, "stat::number_of_executed_units: %lu\n", (unsigned long)count + runs);
    return 0;
}
