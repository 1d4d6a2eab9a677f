// Audio of any rate to 16 kHz: a low-pass and the value in between in one, a sinc under a Blackman window.
// Pure: it runs in the audio worklet, and in tests.

export const RATE = 16_000;

const ZEROS = 16; // zero crossings of the sinc on each side
const PHASES = 256;
const PASS = 0.92; // of half the lower rate

export class Resampler {
  constructor(rate) {
    this.step = rate / RATE;
    const cutoff = PASS * Math.min(1, 1 / this.step);
    this.reach = Math.ceil(ZEROS / cutoff);
    this.table = Array.from({ length: PHASES + 1 }, (_, phase) => weights(phase / PHASES, cutoff, this.reach));
    this.held = new Float32Array(2 * this.reach);
    this.at = this.reach; // where in `held` the next value lies
  }

  // The next samples; the values that they settle.
  feed(samples) {
    const all = new Float32Array(this.held.length + samples.length);
    all.set(this.held);
    all.set(samples, this.held.length);
    const out = [];
    for (; this.at + this.reach < all.length; this.at += this.step) out.push(this.value(all));
    const spent = Math.max(0, Math.floor(this.at) - this.reach);
    this.held = all.slice(spent);
    this.at -= spent;
    return Float32Array.from(out);
  }

  value(all) {
    const whole = Math.floor(this.at);
    const taps = this.table[Math.round((this.at - whole) * PHASES)];
    const first = whole - this.reach + 1;
    let sum = 0;
    for (let tap = 0; tap < taps.length; tap += 1) sum += all[first + tap] * taps[tap];
    return sum;
  }
}

// What each sample around a point counts that lies `fraction` behind one of them; they add up to one.
function weights(fraction, cutoff, reach) {
  const taps = Float32Array.from({ length: 2 * reach }, (_, tap) => {
    const x = tap - reach + 1 - fraction;
    const window = 0.42 + 0.5 * Math.cos((Math.PI * x) / reach) + 0.08 * Math.cos((2 * Math.PI * x) / reach);
    return window * sinc(cutoff * x);
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
