#include "sdkconfig.h"

#if CONFIG_EARSHOT_WAKE_WORD

#include <string.h>

#include "esp_check.h"
#include "esp_wn_iface.h"
#include "esp_wn_models.h"
#include "model_path.h"
#include "wake_net.h"

static const char *const TAG = "wake";
static const esp_wn_iface_t *net;
static model_iface_data_t *model;
static int16_t *chunk;
static size_t chunk_samples, held;

esp_err_t wake_net_open(void)
{
    srmodel_list_t *models = esp_srmodel_init("model");
    char *name = models ? esp_srmodel_filter(models, ESP_WN_PREFIX, NULL) : NULL;
    ESP_RETURN_ON_FALSE(name, ESP_ERR_NOT_FOUND, TAG, "no WakeNet in the partition \"model\"");
    net = esp_wn_handle_from_name(name);
    model = net->create(name, DET_MODE_90);
    ESP_RETURN_ON_FALSE(model, ESP_ERR_NO_MEM, TAG, "%s does not fit", name);
    chunk_samples = (size_t)net->get_samp_chunksize(model);
    chunk = malloc(chunk_samples * sizeof *chunk);
    return chunk ? ESP_OK : ESP_ERR_NO_MEM;
}

/* WakeNet wants chunks of its own size (512 samples), Earshot gives 320. It tells no score. */
const char *wake_net_hear(void *context, const int16_t *samples, size_t count, int16_t *score)
{
    const char *word = NULL;
    (void)context;
    *score = INT16_MAX;
    while (count) {
        size_t part = chunk_samples - held < count ? chunk_samples - held : count;
        memcpy(chunk + held, samples, part * sizeof *samples);
        held += part;
        samples += part;
        count -= part;
        if (held == chunk_samples) {
            held = 0;
            int number = net->detect(model, chunk);
            word = number > 0 ? net->get_word_name(model, number) : word;
        }
    }
    return word;
}

#endif
