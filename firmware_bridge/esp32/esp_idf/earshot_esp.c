#include "earshot_esp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earshot_button.h"
#include "earshot_gate.h"
#include "earshot_line.h"
#include "earshot_proof.h"
#include "earshot_texts.h"
#include "esp_check.h"
#include "esp_heap_caps.h"
#include "esp_log.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"
#include "freertos/task.h"
#include "hearing.h"
#include "image.h"
#include "light.h"
#include "sdkconfig.h"
#include "setup.h"
#include "wifi.h"
#include "wire.h"

#define LOOK_MS 10 /* at the button, and at a line that wakes nobody */
#define REPLIES 2
#define REPLY_BYTES 2048
#define REPLY_SHOWN_MS 3000
#define LOG_BYTES 120
#define IMPROV_BAUD 115200

static const char *const TAG = "earshot";

typedef struct {
    uint8_t level;
    char text[LOG_BYTES + 1];
} log_line;

static struct {
    earshot_esp_config config;
    earshot_settings settings;
    earshot_device device;
    earshot_update update;
    bool takes_images;
    earshot_codec codec;
    const earshot_wire *wire;
    const earshot_board *board;
    TaskHandle_t task;
    QueueHandle_t logs;
    uint32_t ups;    /* of the wire, as it was last seen */
    uint16_t stream; /* 0: none */
    bool held;       /* the button */
    bool replied;    /* so lately, at reply_at, that the light shows it */
    uint8_t status;
    uint32_t reply_at, report_at;
    earshot_light light;
    earshot_texts texts;
    portMUX_TYPE lock; /* of what follows */
    earshot_counters counted;
    earshot_update_state update_state;
    uint32_t update_bytes, update_of;
} own = {.lock = portMUX_INITIALIZER_UNLOCKED};

static uint32_t now_ms(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

/* -- What any task may ask for. */

void earshot_wake(void)
{
    if (own.task) {
        xTaskNotifyGive(own.task);
    }
}

static void IRAM_ATTR wake_from_interrupt(void)
{
    BaseType_t switches = pdFALSE;
    if (own.task) {
        vTaskNotifyGiveFromISR(own.task, &switches);
    }
    portYIELD_FROM_ISR(switches);
}

void earshot_esp_talk(bool talk)
{
    earshot_hearing_talk(talk);
}

void earshot_esp_hear(const int16_t *samples, size_t count)
{
    earshot_hearing_feed(samples, count);
}

void earshot_esp_log(uint8_t level, const char *text)
{
    log_line line = {.level = level};
    snprintf(line.text, sizeof line.text, "%s", text);
    if (own.logs) {
        xQueueSend(own.logs, &line, 0);
    }
}

const earshot_settings *earshot_esp_settings(void)
{
    return &own.settings;
}

void earshot_esp_counted(earshot_counters *counters)
{
    taskENTER_CRITICAL(&own.lock);
    *counters = own.counted;
    taskEXIT_CRITICAL(&own.lock);
}

earshot_update_state earshot_esp_update(uint32_t *bytes, uint32_t *of)
{
    taskENTER_CRITICAL(&own.lock);
    earshot_update_state state = own.update_state;
    *bytes = own.update_bytes;
    *of = own.update_of;
    taskEXIT_CRITICAL(&own.lock);
    return state;
}

/* -- What the gateway says. */

static const char *ended(char *buffer, size_t room, const char *text, size_t size)
{
    size_t count = size < room ? size : room - 1;
    memcpy(buffer, text, count);
    buffer[count] = 0;
    return buffer;
}

static const char *id_of(const earshot_frame *frame)
{
    static char id[256];
    return ended(id, sizeof id, frame->id, frame->id_size);
}

static const char *text_of(const earshot_frame *frame)
{
    static char text[EARSHOT_MTU + 1];
    return ended(text, sizeof text, frame->text, frame->text_size);
}

static void hear_reply(const earshot_frame *frame)
{
    const char *text = earshot_texts_take(&own.texts, frame);
    if (text && own.config.reply) {
        bool final = frame->flags & EARSHOT_FINAL;
        own.config.reply(own.config.context, id_of(frame), text, final, frame->flags & EARSHOT_FAILED);
    }
    own.replied = true;
    own.reply_at = now_ms();
}

static void hear_status(const earshot_frame *frame)
{
    own.status = frame->code;
    if (frame->code != EARSHOT_LISTENING && frame->code != EARSHOT_BUSY) {
        earshot_hearing_over();
    }
}

static void hear(void *unused, const earshot_frame *frame)
{
    const earshot_esp_config *config = &own.config;
    (void)unused;
    if (config->frame) {
        config->frame(config->context, frame);
    }
    if (own.takes_images) {
        earshot_update_hear(&own.update, frame);
    }
    switch (frame->type) {
    case EARSHOT_T_WELCOME:
        if (frame->anew) {
            earshot_texts_forget(&own.texts);
        }
        break;
    case EARSHOT_T_STATUS: hear_status(frame); break;
    case EARSHOT_T_PARTIAL:
        if (config->partial) {
            config->partial(config->context, text_of(frame), frame->stable);
        }
        break;
    case EARSHOT_T_TRANSCRIPT:
        if (config->transcript) {
            config->transcript(config->context, id_of(frame), text_of(frame));
        }
        break;
    case EARSHOT_T_REPLY: hear_reply(frame); break;
    case EARSHOT_T_SPEECH_START:
    case EARSHOT_T_SPEECH:
    case EARSHOT_T_SPEECH_STOP:
        if (config->speech) {
            config->speech(config->context, frame);
        }
        break;
    case EARSHOT_T_FAULT: ESP_LOGW(TAG, "the gateway: %s", text_of(frame)); break;
    default: break;
    }
}

static size_t write_wire(void *unused, const uint8_t *bytes, size_t size)
{
    (void)unused;
    return own.wire->write(bytes, size);
}

/* -- The link's task. */

static void look_at_wire(void)
{
    uint32_t ups = own.wire->times_up();
    if (ups != own.ups && ups) {
        earshot_carrier_up(&own.device, own.wire->kind, now_ms());
    } else if (ups != own.ups) {
        earshot_carrier_lost(&own.device);
    }
    own.ups = ups;
}

static void take_from_wire(void)
{
    static uint8_t bytes[2068];
    size_t count;
    for (int turn = 0; turn < 16 && (count = own.wire->read(bytes, sizeof bytes)) > 0; turn++) {
        earshot_receive(&own.device, bytes, count, now_ms());
    }
}

static void take_audio(const earshot_heard *heard)
{
    if (!own.stream) {
        return;
    }
    if (heard->hole) {
        earshot_audio(&own.device, own.stream, own.codec, NULL, 0, heard->hole);
    }
    if (heard->what == EARSHOT_HEARD_AUDIO) {
        earshot_audio(&own.device, own.stream, own.codec, heard->bytes, heard->size, heard->samples);
    }
}

static void take_heard(void)
{
    static earshot_heard heard;
    while (earshot_hearing_take(&heard)) {
        switch (heard.what) {
        case EARSHOT_HEARD_START:
            if (earshot_start(&own.device, heard.end_on_silence, &own.stream) != EARSHOT_OK) {
                own.stream = 0;
                earshot_log(&own.device, 4, "too many streams wait: this one is not sent");
            }
            break;
        case EARSHOT_HEARD_WORD: earshot_notify(&own.device, EARSHOT_WAKE_WORD, heard.score, heard.word, 0); break;
        case EARSHOT_HEARD_STOP:
            take_audio(&heard);
            earshot_stop(&own.device, own.stream);
            own.stream = 0;
            break;
        default: take_audio(&heard);
        }
    }
}

static void look_at_button(void)
{
    bool held = earshot_button_held(now_ms());
    if (held != own.held) {
        own.held = held;
        earshot_hearing_talk(held);
        earshot_notify(&own.device, EARSHOT_BUTTON, held, "talk", 0);
    }
}

static void take_logs(void)
{
    log_line line;
    while (xQueueReceive(own.logs, &line, 0) == pdTRUE) {
        earshot_log(&own.device, line.level, line.text);
    }
}

static earshot_light light_of_status(void)
{
    static const earshot_light lights[] = {
        [EARSHOT_IDLE] = EARSHOT_LIGHT_IDLE,
        [EARSHOT_LISTENING] = EARSHOT_LIGHT_LISTENING,
        [EARSHOT_TRANSCRIBING] = EARSHOT_LIGHT_TRANSCRIBING,
        [EARSHOT_THINKING] = EARSHOT_LIGHT_THINKING,
        [EARSHOT_BUSY] = EARSHOT_LIGHT_BUSY,
        [EARSHOT_ERROR] = EARSHOT_LIGHT_ERROR,
    };
    if (own.replied && now_ms() - own.reply_at > REPLY_SHOWN_MS) {
        own.replied = false;
    }
    if (own.replied && own.status == EARSHOT_IDLE) {
        return EARSHOT_LIGHT_REPLY;
    }
    return own.status < sizeof lights / sizeof *lights ? lights[own.status] : EARSHOT_LIGHT_IDLE;
}

static earshot_light light_now(void)
{
    if (own.takes_images && earshot_update_where(&own.update) != EARSHOT_UPDATE_NONE && !own.stream) {
        return EARSHOT_LIGHT_UPDATING;
    }
    switch (earshot_where(&own.device)) {
    case EARSHOT_LINKED: return own.stream ? EARSHOT_LIGHT_LISTENING : light_of_status();
    case EARSHOT_GREETING: return EARSHOT_LIGHT_GREETING;
    case EARSHOT_REFUSED: return EARSHOT_LIGHT_REFUSED;
    default:
        return own.wire->kind == EARSHOT_MESSAGES && !own.settings.wifi_ssid[0] ? EARSHOT_LIGHT_SET_UP
                                                                                : EARSHOT_LIGHT_NO_CARRIER;
    }
}

static void show_light(void)
{
    earshot_light light = light_now();
    if (light != own.light) {
        own.light = light;
        earshot_light_show(light);
        if (own.config.state) {
            own.config.state(own.config.context, light);
        }
    }
}

static bool report_is_due(void)
{
#if CONFIG_EARSHOT_REPORT_S > 0
    return now_ms() - own.report_at >= CONFIG_EARSHOT_REPORT_S * 1000u && !own.config.own_microphone &&
           earshot_where(&own.device) == EARSHOT_LINKED;
#else
    return false;
#endif
}

/* What a person wants to know of a microphone that sounds wrong. */
static void report(void)
{
    earshot_microphone_counts mic;
    char line[200];
    own.report_at = now_ms();
    earshot_microphone_counted(&mic);
    int16_t loudest = (int16_t)(mic.peak > INT16_MAX ? INT16_MAX : mic.peak);
    int16_t peak = (int16_t)(earshot_level(&loudest, 1) / 256);
    snprintf(line, sizeof line,
             "microphone: peak %d dB, clock %+ld ppm, %lu clipped, %lu buffers overrun, %lu samples unsent; ring %lu; "
             "heap %lu",
             peak, (long)mic.drift_ppm, (unsigned long)mic.clipped, (unsigned long)mic.overruns,
             (unsigned long)earshot_hearing_lost(), (unsigned long)earshot_count(&own.device)->overrun_samples,
             (unsigned long)heap_caps_get_free_size(MALLOC_CAP_8BIT));
    earshot_log(&own.device, 6, line);
    earshot_notify(&own.device, EARSHOT_LEVEL, peak, "peak", 0);
}

static void publish_counters(void)
{
    uint32_t of = 0;
    uint32_t bytes = own.takes_images ? earshot_update_progress(&own.update, &of) : 0;
    taskENTER_CRITICAL(&own.lock);
    own.counted = *earshot_count(&own.device);
    own.update_state = own.takes_images ? earshot_update_where(&own.update) : EARSHOT_UPDATE_NONE;
    own.update_bytes = bytes;
    own.update_of = of;
    taskEXIT_CRITICAL(&own.lock);
}

/* What is due, and in how many milliseconds the next is. */
static uint32_t do_what_is_due(void)
{
    uint32_t update = own.takes_images ? earshot_update_poll(&own.update, now_ms()) : UINT32_MAX;
    uint32_t link = earshot_poll(&own.device, now_ms());
    return update < link ? update : link;
}

static void look_at_setup(void)
{
#if CONFIG_EARSHOT_IMPROV_SERIAL
    if (own.wire->kind == EARSHOT_MESSAGES) {
        uint8_t bytes[64];
        size_t count;
        while ((count = earshot_this_line()->read(bytes, sizeof bytes)) > 0) {
            earshot_setup_serial_came(bytes, count);
        }
        earshot_setup_serial_look();
    }
#endif
}

static void link_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        look_at_wire();
        take_from_wire();
        look_at_button();
        take_heard();
        take_logs();
        look_at_setup();
        if (report_is_due()) {
            report();
        }
        uint32_t due = do_what_is_due();
        show_light();
        publish_counters();
        TickType_t wait = pdMS_TO_TICKS(due < LOOK_MS ? due : LOOK_MS);
        ulTaskNotifyTake(pdTRUE, wait ? wait : 1); /* others have their turn, whatever is due */
    }
}

/* -- Logs, where the console is on the line that carries frames: they go to the gateway instead. */

#if (CONFIG_EARSHOT_SERIAL_USB_JTAG &&                                                        \
     (CONFIG_ESP_CONSOLE_USB_SERIAL_JTAG || CONFIG_ESP_CONSOLE_SECONDARY_USB_SERIAL_JTAG)) || \
    (CONFIG_EARSHOT_SERIAL_UART && CONFIG_ESP_CONSOLE_UART_NUM == CONFIG_EARSHOT_UART_PORT)
#define CONSOLE_IS_ON_LINE 1
#endif

/* Without the colours and the end of the line; the level is its first letter. */
static int log_to_gateway(const char *format, va_list values)
{
    char line[LOG_BYTES + 1];
    int size = vsnprintf(line, sizeof line, format, values);
    char *text = line[0] == '\033' && strchr(line, 'm') ? strchr(line, 'm') + 1 : line;
    text[strcspn(text, "\033\r\n")] = 0;
    if (text[0]) {
        earshot_esp_log(text[0] == 'E' ? 3 : text[0] == 'W' ? 4 : text[0] == 'I' ? 6 : 7, text);
    }
    return size;
}

static void keep_line_clean(void)
{
#if CONSOLE_IS_ON_LINE
    if (own.wire->kind == EARSHOT_SERIAL) {
        esp_log_set_vprintf(log_to_gateway);
    }
#else
    (void)log_to_gateway;
#endif
}

/* -- Beginning. */

static const earshot_wire *wire_of(const char *carrier)
{
#if CONFIG_EARSHOT_MQTT
    if (!strcmp(carrier, "mqtt")) {
        return &earshot_wire_mqtt;
    }
#endif
#if CONFIG_EARSHOT_WEBSOCKET
    if (!strcmp(carrier, "websocket")) {
        return &earshot_wire_websocket;
    }
#endif
    return !strcmp(carrier, "serial") ? &earshot_wire_serial : NULL;
}

static earshot_codec codec_of_choice(void)
{
#if CONFIG_EARSHOT_CODEC_PCM16
    return EARSHOT_PCM16;
#elif CONFIG_EARSHOT_CODEC_IMA_ADPCM
    return EARSHOT_IMA_ADPCM;
#elif CONFIG_EARSHOT_CODEC_OPUS
    return EARSHOT_OPUS;
#else
    bool usb = own.wire == &earshot_wire_serial && earshot_this_line() != &earshot_line_uart;
#if CONFIG_EARSHOT_OPUS
    return usb ? EARSHOT_PCM16 : EARSHOT_OPUS;
#else
    return usb ? EARSHOT_PCM16 : EARSHOT_IMA_ADPCM;
#endif
#endif
}

static uint8_t *ring_of(size_t size)
{
#if CONFIG_EARSHOT_RING_IN_PSRAM
    return heap_caps_aligned_alloc(4, size, MALLOC_CAP_SPIRAM);
#else
    return heap_caps_aligned_alloc(4, size, MALLOC_CAP_8BIT | MALLOC_CAP_INTERNAL);
#endif
}

static bool may_take(void *context)
{
    (void)context;
    return own.config.may_take(own.config.context);
}

static bool may_restart(void *context)
{
    (void)context;
    return own.config.may_restart(own.config.context);
}

static esp_err_t make_device(void)
{
    size_t slot = EARSHOT_SLOT(earshot_coder_payload());
    size_t frames = CONFIG_EARSHOT_RING_MS * (EARSHOT_RATE / 1000) / earshot_coder_frame();
    size_t size = (frames < 8 ? 8 : frames) * slot;
    uint8_t *ring = ring_of(size);
    ESP_RETURN_ON_FALSE(ring, ESP_ERR_NO_MEM, TAG, "no %u bytes for the ring: make EARSHOT_RING_MS less",
                        (unsigned)size);
    earshot_config config = {
        .id = own.settings.id,
        .boot = esp_random(),
        .firmware = own.config.firmware ? own.config.firmware : "earshot " EARSHOT_VERSION,
        .kind = own.config.kind,
        .ring = ring,
        .ring_size = size,
        .frame_size = earshot_coder_payload(),
        .wants_partials = own.config.partial != NULL,
        .wants_pieces = own.config.reply != NULL,
        .takes_images = own.takes_images,
        .key = own.settings.has_key ? own.settings.key : NULL,
        .prove = earshot_prove,
        .port = {.write = write_wire, .hear = hear},
    };
    earshot_result made = earshot_init(&own.device, &config);
    if (own.takes_images && made == EARSHOT_OK) {
        earshot_update_config update = {.number = own.config.number,
                                        .port = earshot_image_port(own.settings.image_key)};
        update.port.may_take = own.config.may_take ? may_take : NULL;
        update.port.may_start = own.config.may_restart ? may_restart : NULL;
        earshot_update_init(&own.update, &own.device, &update, now_ms());
    }
    ESP_RETURN_ON_FALSE(made == EARSHOT_OK, ESP_ERR_INVALID_ARG, TAG,
                        "the device id \"%s\", or firmware or kind, cannot be", config.id);
    return ESP_OK;
}

static esp_err_t make_texts(void)
{
    static earshot_text texts[REPLIES];
    for (size_t i = 0; i < REPLIES; i++) {
        texts[i].buffer = malloc(REPLY_BYTES);
        texts[i].capacity = REPLY_BYTES;
        ESP_RETURN_ON_FALSE(texts[i].buffer, ESP_ERR_NO_MEM, TAG, "no memory for replies");
    }
    own.texts = (earshot_texts){.texts = texts, .count = REPLIES, .wants_pieces = own.config.reply != NULL};
    return ESP_OK;
}

static esp_err_t open_setup(void)
{
#if CONFIG_EARSHOT_IMPROV_SERIAL
    ESP_RETURN_ON_ERROR(earshot_this_line()->open(IMPROV_BAUD), TAG, "line for the Wi-Fi set-up");
    earshot_setup_serial_open(&own.settings, "Earshot", earshot_this_line()->write);
#endif
    if (own.settings.wifi_ssid[0]) {
        return ESP_OK;
    }
#if CONFIG_EARSHOT_IMPROV_BLE
    ESP_RETURN_ON_ERROR(earshot_setup_ble_open(&own.settings), TAG, "Bluetooth set-up");
#endif
#if CONFIG_EARSHOT_PORTAL
    ESP_RETURN_ON_ERROR(earshot_setup_portal_open(&own.settings), TAG, "set-up page");
#endif
    return ESP_OK;
}

static esp_err_t open_carrier(void)
{
#if CONFIG_EARSHOT_MQTT || CONFIG_EARSHOT_WEBSOCKET
    if (own.wire->kind == EARSHOT_MESSAGES) {
        ESP_RETURN_ON_ERROR(earshot_wifi_open(&own.settings), TAG, "Wi-Fi");
        ESP_RETURN_ON_ERROR(open_setup(), TAG, "set-up");
    }
#else
    (void)open_setup;
#endif
    esp_err_t opened = own.wire->open(&own.settings);
    if (opened == ESP_ERR_INVALID_STATE) {
        ESP_LOGE(TAG, "it does not know where its gateway is: earshot flash, or the set-up page, tells it");
        return ESP_OK; /* and can be set up */
    }
    return opened;
}

static void heard(void *unused, const int16_t *samples, size_t count)
{
    (void)unused;
    earshot_hearing_feed(samples, count);
}

static esp_err_t open_microphone(void)
{
    const earshot_microphone_config config = {
        .board = own.board, .heard = heard, .stack = CONFIG_EARSHOT_CAPTURE_STACK};
    return own.config.own_microphone ? ESP_OK : earshot_microphone_start(&config);
}

esp_err_t earshot_esp_start(const earshot_esp_config *config)
{
    own.config = *config;
    own.board = config->board ? config->board : earshot_this_board();
    ESP_RETURN_ON_ERROR(earshot_settings_read(&own.settings), TAG, "settings");
    own.wire = wire_of(own.settings.carrier);
    ESP_RETURN_ON_FALSE(own.wire, ESP_ERR_NOT_SUPPORTED, TAG, "carrier \"%s\" is not in this firmware",
                        own.settings.carrier);
    own.takes_images = earshot_image_can(config, &own.settings);
    own.codec = codec_of_choice();
    ESP_RETURN_ON_ERROR(earshot_coder_open(own.codec), TAG, "codec");
    ESP_RETURN_ON_ERROR(earshot_hearing_open(config), TAG, "hearing");
    ESP_RETURN_ON_ERROR(make_texts(), TAG, "replies");
    ESP_RETURN_ON_ERROR(make_device(), TAG, "device");
    own.logs = xQueueCreate(4, sizeof(log_line));
    ESP_RETURN_ON_FALSE(own.logs, ESP_ERR_NO_MEM, TAG, "no memory");
    ESP_RETURN_ON_ERROR(earshot_light_open(own.board), TAG, "light");
    ESP_RETURN_ON_ERROR(earshot_button_open(own.board->button, wake_from_interrupt), TAG, "button");
    ESP_RETURN_ON_ERROR(open_carrier(), TAG, "carrier");
    keep_line_clean();
    BaseType_t made =
        xTaskCreate(link_for_ever, "earshot link", CONFIG_EARSHOT_LINK_STACK, NULL, tskIDLE_PRIORITY + 6, &own.task);
    ESP_RETURN_ON_FALSE(made == pdPASS, ESP_ERR_NO_MEM, TAG, "no memory for the link's task");
    return open_microphone();
}
