// This machine's microphone: opened when it is needed, and let go a while after.

const KEPT_MS = 30_000;
const WANTED = { audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } };

const REFUSALS = {
  NotAllowedError: "The microphone was refused. Allow it for this page in the browser's settings.",
  NotFoundError: "This machine has no microphone.",
  NotReadableError: "The microphone is in use by another program.",
};

export class NoMicrophone extends Error {}

export class Microphone {
  // `onAudio(samples)`: Float32Array, one channel, 16 kHz, 20 ms each.
  constructor(onAudio) {
    this.onAudio = onAudio;
    this.opening = null;
  }

  // Raises NoMicrophone, whose message is for people.
  open() {
    clearTimeout(this.leaving);
    this.opening ??= this.begin().catch((error) => {
      this.opening = null;
      throw error instanceof NoMicrophone ? error : new NoMicrophone(REFUSALS[error.name] ?? `The microphone cannot be had: ${error.message}`);
    });
    return this.opening;
  }

  // Not needed any more, for now.
  leave() {
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => this.close(), KEPT_MS);
  }

  async begin() {
    if (!navigator.mediaDevices) throw new NoMicrophone("Browsers give a microphone only to https:// pages and to this machine's own: set web.tls, or use an SSH tunnel.");
    this.stream = await navigator.mediaDevices.getUserMedia(WANTED);
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("/static/capture.js");
    const node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.onAudio(data);
    this.context.createMediaStreamSource(this.stream).connect(node);
    await this.context.resume();
  }

  close() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.opening = this.stream = this.context = null;
  }
}
