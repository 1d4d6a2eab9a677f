#include "sdkconfig.h"

#if CONFIG_EARSHOT_IMPROV_BLE

#include <stdbool.h>
#include <string.h>

#include "earshot_improv.h"
#include "esp_check.h"
#include "host/ble_gap.h"
#include "host/ble_gatt.h"
#include "host/ble_hs.h"
#include "host/ble_uuid.h"
#include "nimble/nimble_port.h"
#include "nimble/nimble_port_freertos.h"
#include "services/gap/ble_svc_gap.h"
#include "services/gatt/ble_svc_gatt.h"
#include "setup.h"
#include "wifi.h"

/* https://www.improv-wifi.com/ble: 00467768-6228-2272-4663-27747826800N, least byte first. */
#define UUID(n) \
    BLE_UUID128_INIT(n, 0x80, 0x26, 0x78, 0x74, 0x27, 0x63, 0x46, 0x72, 0x22, 0x28, 0x62, 0x68, 0x77, 0x46, 0x00)

enum { AUTHORIZED = 2, JOINING = 3, JOINED = 4 };
enum { NO_ERROR = 0, INVALID = 1, UNKNOWN = 2, CANNOT_JOIN = 3 };
enum { JOIN = 1 };

static const char *const TAG = "earshot";
static const ble_uuid128_t service = UUID(0x00), state_uuid = UUID(0x01), error_uuid = UUID(0x02),
                           command_uuid = UUID(0x03), result_uuid = UUID(0x04), can_uuid = UUID(0x05);
static uint16_t state_handle, error_handle, command_handle, result_handle, can_handle;
static uint8_t state = AUTHORIZED, error = NO_ERROR,
               command[3 + 2 + EARSHOT_IMPROV_SSID_MOST + EARSHOT_IMPROV_PASSWORD_MOST];
static size_t command_size;
static uint8_t own_address_type;
static const uint8_t result[] = {JOIN, 0, JOIN}; /* no page to go to */

static void set_state(uint8_t to)
{
    state = to;
    ble_gatts_chr_updated(state_handle);
}

static void set_error(uint8_t to)
{
    error = to;
    ble_gatts_chr_updated(error_handle);
}

static void went(bool joined)
{
    set_error(joined ? NO_ERROR : CANNOT_JOIN);
    set_state(joined ? JOINED : AUTHORIZED);
    if (joined) {
        ble_gatts_chr_updated(result_handle);
    }
}

static bool is_sound(void)
{
    uint8_t sum = 0;
    for (size_t i = 0; i + 1 < command_size; i++) {
        sum = (uint8_t)(sum + command[i]);
    }
    return sum == command[command_size - 1];
}

static void obey(void)
{
    char ssid[EARSHOT_IMPROV_SSID_MOST + 1], password[EARSHOT_IMPROV_PASSWORD_MOST + 1];
    if (!is_sound()) {
        set_error(INVALID);
    } else if (command[0] != JOIN) {
        set_error(UNKNOWN);
    } else if (!earshot_improv_wifi(command + 2, command_size - 3, ssid, password)) {
        set_error(INVALID);
    } else {
        set_error(NO_ERROR);
        set_state(JOINING);
        earshot_wifi_join(ssid, password, went);
    }
    command_size = 0;
}

/* A command may come in several writes; it is whole when its length says so. */
static int take(struct os_mbuf *written)
{
    uint16_t count = 0;
    int flat = ble_hs_mbuf_to_flat(written, command + command_size, (uint16_t)(sizeof command - command_size), &count);
    if (flat != 0) {
        command_size = 0;
        return BLE_ATT_ERR_INVALID_ATTR_VALUE_LEN;
    }
    command_size += count;
    if (command_size >= 3 && command_size >= 3u + command[1]) {
        obey();
    }
    return 0;
}

static int give(struct os_mbuf *out, const uint8_t *bytes, uint16_t count)
{
    return os_mbuf_append(out, bytes, count) == 0 ? 0 : BLE_ATT_ERR_INSUFFICIENT_RES;
}

static int accessed(uint16_t connection, uint16_t attribute, struct ble_gatt_access_ctxt *access, void *unused)
{
    static const uint8_t nothing_more = 0;
    (void)connection;
    (void)unused;
    if (attribute == command_handle) {
        return access->op == BLE_GATT_ACCESS_OP_WRITE_CHR ? take(access->om) : BLE_ATT_ERR_READ_NOT_PERMITTED;
    }
    if (attribute == result_handle) {
        return give(access->om, result, state == JOINED ? sizeof result : 0);
    }
    if (attribute == state_handle) {
        return give(access->om, &state, 1);
    }
    return give(access->om, attribute == error_handle ? &error : &nothing_more, 1);
}

static const struct ble_gatt_chr_def characteristics[] = {
    {.uuid = &state_uuid.u,
     .access_cb = accessed,
     .flags = BLE_GATT_CHR_F_READ | BLE_GATT_CHR_F_NOTIFY,
     .val_handle = &state_handle},
    {.uuid = &error_uuid.u,
     .access_cb = accessed,
     .flags = BLE_GATT_CHR_F_READ | BLE_GATT_CHR_F_NOTIFY,
     .val_handle = &error_handle},
    {.uuid = &command_uuid.u, .access_cb = accessed, .flags = BLE_GATT_CHR_F_WRITE, .val_handle = &command_handle},
    {.uuid = &result_uuid.u,
     .access_cb = accessed,
     .flags = BLE_GATT_CHR_F_READ | BLE_GATT_CHR_F_NOTIFY,
     .val_handle = &result_handle},
    {.uuid = &can_uuid.u, .access_cb = accessed, .flags = BLE_GATT_CHR_F_READ, .val_handle = &can_handle},
    {0},
};

static const struct ble_gatt_svc_def services[] = {
    {.type = BLE_GATT_SVC_TYPE_PRIMARY, .uuid = &service.u, .characteristics = characteristics},
    {0},
};

static void advertise(void);

static int happened(struct ble_gap_event *event, void *unused)
{
    (void)unused;
    bool goes_on = event->type == BLE_GAP_EVENT_DISCONNECT || event->type == BLE_GAP_EVENT_ADV_COMPLETE ||
                   (event->type == BLE_GAP_EVENT_CONNECT && event->connect.status != 0);
    if (goes_on && !earshot_wifi_is_joined()) {
        advertise();
    }
    return 0;
}

static void advertise(void)
{
    const struct ble_gap_adv_params how = {.conn_mode = BLE_GAP_CONN_MODE_UND, .disc_mode = BLE_GAP_DISC_MODE_GEN};
    /* Service data of 0x4677: state, what it can, four zeros. */
    const uint8_t data[] = {0x77, 0x46, state, 0, 0, 0, 0, 0};
    struct ble_hs_adv_fields fields = {.flags = BLE_HS_ADV_F_DISC_GEN | BLE_HS_ADV_F_BREDR_UNSUP,
                                       .uuids128 = &service,
                                       .num_uuids128 = 1,
                                       .uuids128_is_complete = 1};
    struct ble_hs_adv_fields answer = {.svc_data_uuid16 = data, .svc_data_uuid16_len = sizeof data};
    if (ble_gap_adv_set_fields(&fields) || ble_gap_adv_rsp_set_fields(&answer) ||
        ble_gap_adv_start(own_address_type, NULL, BLE_HS_FOREVER, &how, happened, NULL)) {
        ESP_LOGE(TAG, "Bluetooth does not advertise");
    }
}

static void ready(void)
{
    if (ble_hs_id_infer_auto(0, &own_address_type) == 0) {
        advertise();
    }
}

static void run(void *unused)
{
    (void)unused;
    nimble_port_run();
    nimble_port_freertos_deinit();
}

esp_err_t earshot_setup_ble_open(const earshot_settings *settings)
{
    ESP_RETURN_ON_ERROR(nimble_port_init(), TAG, "Bluetooth");
    ble_hs_cfg.sync_cb = ready;
    ble_svc_gap_init();
    ble_svc_gatt_init();
    ESP_RETURN_ON_FALSE(ble_gatts_count_cfg(services) == 0 && ble_gatts_add_svcs(services) == 0, ESP_FAIL, TAG,
                        "Improv's service");
    ble_svc_gap_device_name_set(settings->id);
    nimble_port_freertos_init(run);
    return ESP_OK;
}

#endif
