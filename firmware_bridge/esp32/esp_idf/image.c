#include "image.h"

#include "earshot_p256.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "nvs.h"

#define MEMORY "image_memory" /* in NVS, beside what earshot_nvs_keys.h names */

static const char *const TAG = "earshot";
static const uint8_t *key;
static esp_ota_handle_t writing;
static const esp_partition_t *place;

bool earshot_image_can(const earshot_esp_config *config, const earshot_settings *settings)
{
    return config->kind && settings->has_image_key && esp_ota_get_next_update_partition(NULL);
}

static uint32_t running(void *unused)
{
    (void)unused;
    return esp_ota_get_running_partition()->address;
}

static uint32_t room(void *unused)
{
    const esp_partition_t *next = esp_ota_get_next_update_partition(NULL);
    (void)unused;
    return next ? next->size : 0;
}

static bool verify(void *unused, const uint8_t *message, size_t size, const uint8_t *signature)
{
    (void)unused;
    return earshot_p256_signed(key, message, size, signature);
}

/* Erases as it is written: an erased megabyte would stop the link for seconds. */
static bool begin(void *unused, uint32_t size)
{
    (void)unused;
    (void)size;
    if (writing) {
        esp_ota_abort(writing);
        writing = 0;
    }
    place = esp_ota_get_next_update_partition(NULL);
    return place && esp_ota_begin(place, OTA_WITH_SEQUENTIAL_WRITES, &writing) == ESP_OK;
}

static bool write_bytes(void *unused, uint32_t offset, const uint8_t *bytes, size_t size)
{
    (void)unused;
    (void)offset; /* they come in order */
    return esp_ota_write(writing, bytes, size) == ESP_OK;
}

#ifdef CONFIG_SECURE_FLASH_ENC_ENABLED
#define read_bytes NULL /* up to 15 bytes are held back until a block is full; esp_ota_end looks at the whole image */
#else
static bool read_bytes(void *unused, uint32_t offset, uint8_t *bytes, size_t size)
{
    (void)unused;
    return place && esp_partition_read(place, offset, bytes, size) == ESP_OK;
}
#endif

static earshot_update_reason finish(void *unused)
{
    esp_ota_handle_t done = writing;
    (void)unused;
    writing = 0;
    esp_err_t ended = esp_ota_end(done);
    if (ended != ESP_OK) {
        ESP_LOGE(TAG, "the image is none for this chip: %s", esp_err_to_name(ended));
        return EARSHOT_U_BAD_IMAGE;
    }
    return esp_ota_set_boot_partition(place) == ESP_OK ? EARSHOT_U_NONE : EARSHOT_U_STORAGE;
}

static void start(void *unused)
{
    (void)unused;
    esp_restart();
}

static void confirm(void *unused)
{
    (void)unused;
    esp_ota_mark_app_valid_cancel_rollback();
}

/* Comes back where there is nothing to go back to. */
static void roll_back(void *unused)
{
    (void)unused;
    ESP_LOGE(TAG, "back to the firmware before: %s", esp_err_to_name(esp_ota_mark_app_invalid_rollback_and_reboot()));
}

static bool load(void *unused, earshot_update_memory *memory)
{
    nvs_handle_t nvs;
    size_t size = sizeof *memory;
    (void)unused;
    if (nvs_open(EARSHOT_NVS_NAMESPACE, NVS_READONLY, &nvs) != ESP_OK) {
        return false;
    }
    esp_err_t read = nvs_get_blob(nvs, MEMORY, memory, &size);
    nvs_close(nvs);
    return read == ESP_OK && size == sizeof *memory;
}

static bool save(void *unused, const earshot_update_memory *memory)
{
    nvs_handle_t nvs;
    (void)unused;
    if (nvs_open(EARSHOT_NVS_NAMESPACE, NVS_READWRITE, &nvs) != ESP_OK) {
        return false;
    }
    bool saved = nvs_set_blob(nvs, MEMORY, memory, sizeof *memory) == ESP_OK && nvs_commit(nvs) == ESP_OK;
    nvs_close(nvs);
    return saved;
}

earshot_update_port earshot_image_port(const uint8_t *image_key)
{
    key = image_key;
    return (earshot_update_port){.running = running,
                                 .room = room,
                                 .verify = verify,
                                 .begin = begin,
                                 .write = write_bytes,
                                 .read = read_bytes,
                                 .finish = finish,
                                 .start = start,
                                 .confirm = confirm,
                                 .roll_back = roll_back,
                                 .load = load,
                                 .save = save};
}
