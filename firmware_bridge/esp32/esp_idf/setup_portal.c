#include "sdkconfig.h"

#if CONFIG_EARSHOT_PORTAL

#include <stdio.h>
#include <string.h>

#include "earshot_portal.h"
#include "esp_check.h"
#include "esp_http_server.h"
#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "lwip/sockets.h"
#include "setup.h"
#include "wifi.h"

#define FORM_MOST 1200 /* a name, a password and an address, each letter as %XX */

static const char *const TAG = "earshot";
static const uint8_t OWN_ADDRESS[] = {192, 168, 4, 1}; /* of ESP-IDF's access points */
static httpd_handle_t server;

static const char PAGE[] =
    "<!doctype html><meta name=viewport content='width=device-width'><title>Earshot</title>"
    "<style>body{font:18px sans-serif;margin:2em auto;max-width:20em}input,button{font:inherit;width:100%;margin:.3em "
    "0 1em;padding:.4em}</style>"
    "<h1>Earshot</h1><form method=post action=/join><label>Wi-Fi<input name=ssid maxlength=32 required></label>"
    "<label>Password<input name=password type=password maxlength=64></label>"
    "<label>Gateway<input name=gateway maxlength=255 placeholder='as it is; or ws://box:8080/device, "
    "mqtt://box'></label><button>Join</button></form>";

static esp_err_t show_page(httpd_req_t *request)
{
    httpd_resp_set_type(request, "text/html; charset=utf-8");
    return httpd_resp_send(request, PAGE, HTTPD_RESP_USE_STRLEN);
}

/* Every name that a telephone asks for is ours, so whatever it looks for leads to the page. Telephones look for a page
 * of theirs, and show what they get instead. */
static esp_err_t send_to_page(httpd_req_t *request, httpd_err_code_t error)
{
    (void)error;
    httpd_resp_set_status(request, "302 Found");
    httpd_resp_set_hdr(request, "Location", "http://192.168.4.1/");
    return httpd_resp_send(request, "", 0);
}

static bool has_new_gateway;

/* The server stays: nobody reaches it any more. */
static void close_portal(bool joined)
{
    if (joined && has_new_gateway) {
        esp_restart(); /* another carrier begins at the beginning */
    } else if (joined) {
        earshot_wifi_own("", false);
    }
}

/* An empty field: as it is. */
static bool keep_gateway(const char *form)
{
    char url[EARSHOT_NVS_WS_URL_MOST + 1];
    if (!earshot_form_field(form, "gateway", url, sizeof url)) {
        return false;
    }
    has_new_gateway = url[0] != 0;
    return !has_new_gateway || earshot_settings_keep_gateway(url) == ESP_OK;
}

static esp_err_t join(httpd_req_t *request)
{
    char form[FORM_MOST], ssid[EARSHOT_NVS_WIFI_SSID_MOST + 1], password[EARSHOT_NVS_WIFI_PASS_MOST + 1];
    size_t held = 0;
    if (request->content_len >= sizeof form) {
        return httpd_resp_send_err(request, HTTPD_400_BAD_REQUEST, "too long");
    }
    while (held < request->content_len) {
        int count = httpd_req_recv(request, form + held, request->content_len - held);
        if (count <= 0) {
            return ESP_FAIL;
        }
        held += (size_t)count;
    }
    form[held] = 0;
    bool told = earshot_form_field(form, "ssid", ssid, sizeof ssid) &&
                earshot_form_field(form, "password", password, sizeof password);
    if (!told || !ssid[0]) {
        return httpd_resp_send_err(request, HTTPD_400_BAD_REQUEST, "a name has 1 to 32 letters, a password up to 64");
    }
    if (!keep_gateway(form)) {
        return httpd_resp_send_err(request, HTTPD_400_BAD_REQUEST,
                                   "a gateway is ws://, wss://, mqtt:// or mqtts:// and a name");
    }
    esp_err_t sent =
        httpd_resp_sendstr(request, "Joining. This network goes when it worked; if it stays, the password was wrong.");
    earshot_wifi_join(ssid, password, close_portal);
    return sent;
}

static void answer_for_ever(void *unused)
{
    static uint8_t packet[EARSHOT_DNS_MOST];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct sockaddr_storage peer;
    (void)unused;
    int port = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    if (port < 0 || bind(port, (struct sockaddr *)&here, sizeof here) < 0) {
        ESP_LOGW(TAG, "no DNS of its own: the page is at http://192.168.4.1/ only");
        vTaskDelete(NULL);
    }
    for (;;) {
        socklen_t length = sizeof peer;
        ssize_t count = recvfrom(port, packet, sizeof packet, 0, (struct sockaddr *)&peer, &length);
        size_t told = count > 0 ? earshot_dns_answer(packet, (size_t)count, OWN_ADDRESS) : 0;
        if (told) {
            sendto(port, packet, told, 0, (struct sockaddr *)&peer, length);
        }
    }
}

esp_err_t earshot_setup_portal_open(const earshot_settings *settings)
{
    char name[33];
    httpd_config_t config = HTTPD_DEFAULT_CONFIG();
    config.stack_size = 8192;
    const httpd_uri_t page = {.uri = "/", .method = HTTP_GET, .handler = show_page};
    const httpd_uri_t form = {.uri = "/join", .method = HTTP_POST, .handler = join};
    snprintf(name, sizeof name, "Earshot %.24s", settings->id);
    ESP_RETURN_ON_ERROR(earshot_wifi_own(name, true), TAG, "own network");
    ESP_RETURN_ON_ERROR(httpd_start(&server, &config), TAG, "page");
    ESP_RETURN_ON_ERROR(httpd_register_uri_handler(server, &page), TAG, "page");
    ESP_RETURN_ON_ERROR(httpd_register_uri_handler(server, &form), TAG, "page");
    ESP_RETURN_ON_ERROR(httpd_register_err_handler(server, HTTPD_404_NOT_FOUND, send_to_page), TAG, "page");
    return xTaskCreate(answer_for_ever, "earshot dns", 3072, NULL, tskIDLE_PRIORITY + 2, NULL) == pdPASS
               ? ESP_OK
               : ESP_ERR_NO_MEM;
}

#endif
