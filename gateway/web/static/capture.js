// The microphone's audio on its way out of the audio thread: one channel, 16 kHz, 20 ms at a time.

import { RATE, Resampler } from "./resample.js";

const PIECE = RATE / 50;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate);
    this.piece = new Float32Array(PIECE);
    this.filled = 0;
  }

  process([[channel]]) {
    if (channel) for (const sample of this.resampler.feed(channel)) this.take(sample);
    return true;
  }

  take(sample) {
    this.piece[this.filled] = sample;
    this.filled += 1;
    if (this.filled < PIECE) return;
    this.port.postMessage(this.piece);
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
