/* What a board finds in its NVS partition. Made by `python -m firmware_bridge.flashing.nvs_keys` from the
 * table there, which docs/flashing.md shows; do not edit. A *_MOST is without the zero at a string's end.
 */
#ifndef EARSHOT_NVS_KEYS_H
#define EARSHOT_NVS_KEYS_H

#define EARSHOT_NVS_NAMESPACE "earshot"

/* string: device id, A-Z a-z 0-9 _ -; absent: the firmware makes one of its MAC address */
#define EARSHOT_NVS_ID "id"
#define EARSHOT_NVS_ID_MOST 64

/* string: the room it stands in, to be shown; the gateway goes by its own settings */
#define EARSHOT_NVS_ROOM "room"
#define EARSHOT_NVS_ROOM_MOST 64

/* string: whose it is, to be shown; the gateway goes by its own settings */
#define EARSHOT_NVS_USER "user"
#define EARSHOT_NVS_USER_MOST 64

/* string: serial, mqtt or websocket; absent: what the firmware was built for */
#define EARSHOT_NVS_CARRIER "carrier"
#define EARSHOT_NVS_CARRIER_MOST 15

/* u32: rate of a UART; absent: 921600. USB has none */
#define EARSHOT_NVS_BAUD "baud"
#define EARSHOT_NVS_BAUD_MOST 4000000

/* string: the Wi-Fi's name; absent: no Wi-Fi */
#define EARSHOT_NVS_WIFI_SSID "wifi_ssid"
#define EARSHOT_NVS_WIFI_SSID_MOST 32

/* string: its password; absent: an open one */
#define EARSHOT_NVS_WIFI_PASS "wifi_pass"
#define EARSHOT_NVS_WIFI_PASS_MOST 64

/* string: mqtt:// or mqtts://, host, and :port where it is another; no user in it */
#define EARSHOT_NVS_MQTT_URL "mqtt_url"
#define EARSHOT_NVS_MQTT_URL_MOST 255

/* string: absent: the device id */
#define EARSHOT_NVS_MQTT_USER "mqtt_user"
#define EARSHOT_NVS_MQTT_USER_MOST 64

/* string: absent: none */
#define EARSHOT_NVS_MQTT_PASS "mqtt_pass"
#define EARSHOT_NVS_MQTT_PASS_MOST 255

/* string: first levels of the topics; absent: earshot/v1 */
#define EARSHOT_NVS_MQTT_PREFIX "mqtt_prefix"
#define EARSHOT_NVS_MQTT_PREFIX_MOST 64

/* string: the gateway's page, as ws:// or wss://, host, :port and path */
#define EARSHOT_NVS_WS_URL "ws_url"
#define EARSHOT_NVS_WS_URL_MOST 255

/* string: a token of the gateway's; absent: it asks for none */
#define EARSHOT_NVS_WS_TOKEN "ws_token"
#define EARSHOT_NVS_WS_TOKEN_MOST 255

/* string: 64 hex digits: the 32 bytes that the device proves itself with */
#define EARSHOT_NVS_KEY "key"
#define EARSHOT_NVS_KEY_MOST 64

/* string: who signs the broker's or the gateway's certificate (PEM); absent: the firmware's own bundle */
#define EARSHOT_NVS_CA_PEM "ca_pem"
#define EARSHOT_NVS_CA_PEM_MOST 3967

/* blob: P-256 public key, X and Y, 32 bytes each, big-endian: whose signed images it takes over the air;
 * absent: that which was compiled in, or nobody's */
#define EARSHOT_NVS_IMAGE_KEY "image_key"
#define EARSHOT_NVS_IMAGE_KEY_MOST 64

#endif
