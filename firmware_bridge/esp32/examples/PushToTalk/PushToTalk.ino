// Hold BOOT and speak: an ESP32 DevKit with an INMP441 at 26 (SCK), 25 (WS), 33 (SD), plugged into the gateway's box.
#include <ESP_I2S.h>
#include <EarshotDevice.h>
#include <earshot_slots.h>

I2SClass microphone;
earshot_slots slots;
EarshotDevice<50> earshot(Serial); // Serial carries frames: print to Serial1 instead

void heard(uint8_t what, const char *text, const earshot_frame &) {
  if (what == EARSHOT_T_TRANSCRIPT || what == EARSHOT_T_REPLY) Serial1.println(text);
}

void setup() {
  Serial.setRxBufferSize(2048);
  Serial.setTxBufferSize(2048);
  Serial.begin(921600);
  Serial1.begin(115200, SERIAL_8N1, 16, 17);
  pinMode(0, INPUT_PULLUP);
  const earshot_slots_config shape = {32, 1, EARSHOT_SLOT_LEFT, 3};
  earshot_slots_init(&slots, &shape);
  microphone.setPins(26, 25, -1, 33);
  microphone.begin(I2S_MODE_STD, 16000, I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO);
  earshot.begin("kitchen", esp_random(), heard);
}

void loop() {
  static int32_t raw[earshot.SAMPLES];
  static int16_t samples[earshot.SAMPLES];
  size_t count = microphone.readBytes(reinterpret_cast<char *>(raw), sizeof raw) / sizeof *raw; // 20 ms
  earshot_slots_convert(&slots, raw, samples, count);
  digitalRead(0) == LOW ? (void)earshot.start() : earshot.stop();
  if (earshot.talking()) earshot.audio(samples, count);
  earshot.poll();
}
