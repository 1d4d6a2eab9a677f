// Speaking to the house: hold to talk, or type. The page is one more device.

import { Device, toPcm16 } from "./device.js";
import { byId, setAttribute, setText } from "./dom.js";
import { isTyping } from "./keys.js";
import { Microphone, NoMicrophone } from "./microphone.js";

const STORED = "earshot.device";
const TAIL_MS = 240;
const STATUS_NOTES = { listening: "Speak. Let go when you have finished.", transcribing: "Transcribing", thinking: "Thinking", busy: "The house is busy; it will take a moment.", error: "That went wrong." };

export class Talk {
  // `say(text, ref)` sends typed text; false: there is no connection. `session` knows who speaks.
  constructor(say, session) {
    this.say = say;
    this.session = session;
    this.held = false;
    this.stream = null;
    this.microphone = new Microphone((samples) => this.hear(samples));
    byId("composer").addEventListener("submit", (event) => this.submit(event));
    this.listenToButton(byId("talk"));
    this.listenToSpace();
  }

  // -- typed

  submit(event) {
    event.preventDefault();
    const text = byId("say").value.trim();
    if (!text) return;
    this.typed = text;
    const isSent = this.say(text, "typed");
    if (isSent) byId("say").value = "";
    this.note(isSent ? "Sent" : "Not sent: there is no connection to the gateway.");
  }

  // What the gateway says to it: it is on its way, or why not.
  answered(event) {
    if (event.type === "said") return this.note("");
    if (event.ref === "typed" && !byId("say").value) byId("say").value = this.typed;
    this.note(`Not said: ${event.reason}`);
  }

  // -- spoken

  async press() {
    if (this.held) return;
    this.held = true;
    setAttribute(byId("talk"), "aria-pressed", "true");
    clearTimeout(this.stopping);
    this.stop();
    try {
      this.note("Opening the microphone");
      await this.microphone.open();
    } catch (error) {
      if (!(error instanceof NoMicrophone)) throw error;
      this.letGo();
      return this.note(error.message);
    }
    if (!this.held) return this.note("Hold it for as long as you speak.");
    this.device ??= this.connect();
    this.stream = this.device.start();
    this.note(STATUS_NOTES.listening);
  }

  release() {
    if (!this.held) return;
    this.letGo();
    // People let go a little early.
    this.stopping = setTimeout(() => this.stop(), TAIL_MS);
    this.microphone.leave();
  }

  letGo() {
    this.held = false;
    setAttribute(byId("talk"), "aria-pressed", "false");
    byId("talk").style.setProperty("--level", 0);
  }

  stop() {
    if (this.stream !== null) this.device.stop(this.stream);
    this.stream = null;
  }

  hear(samples) {
    if (this.stream === null) return;
    this.device.audio(this.stream, toPcm16(samples));
    const offset = samples.reduce((sum, sample) => sum + sample, 0) / samples.length; // the microphone's own
    const power = samples.reduce((sum, sample) => sum + (sample - offset) ** 2, 0) / samples.length;
    byId("talk").style.setProperty("--level", Math.min(1, 4 * Math.sqrt(power)).toFixed(2));
  }

  connect() {
    const device = new Device(deviceId(this.session.speaksAs), {
      onState: (state, reason) => this.connected(state, reason),
      onStatus: ({ status }) => this.note(STATUS_NOTES[status] ?? ""),
      onReply: () => this.note(""), // it grows in the conversation, for all who listen
    });
    device.open();
    return device;
  }

  connected(state, reason) {
    if (state === "refused") this.note(`The gateway refuses this page as a device: ${reason}`);
    if (state === "offline" && this.stream !== null) this.note("No connection; what you say goes out as soon as there is one.");
  }

  note(text) {
    setText(byId("talk-note"), text);
  }

  // -- the button and the space bar

  listenToButton(talk) {
    talk.addEventListener("pointerdown", (event) => {
      talk.setPointerCapture(event.pointerId);
      this.press();
    });
    for (const type of ["pointerup", "pointercancel", "blur"]) talk.addEventListener(type, () => this.release());
    talk.addEventListener("contextmenu", (event) => event.preventDefault());
    // A click without a pointer or a key before it comes from a screen reader or a switch: they press and press again.
    talk.addEventListener("click", (event) => {
      if (event.detail === 0) this.held ? this.release() : this.press();
    });
  }

  listenToSpace() {
    const isOurs = ({ code, target }) => code === "Space" && !isTyping(target) && !byId("composer").hidden && !document.querySelector("dialog[open]");
    const isFree = ({ target }) => target === byId("talk") || !target.closest?.("button, a, summary, label, input, [tabindex='0'][role=slider]");
    addEventListener("keydown", (event) => {
      if (!isOurs(event) || !isFree(event)) return;
      event.preventDefault();
      if (!event.repeat) this.press();
    });
    addEventListener("keyup", (event) => {
      if (event.code !== "Space") return;
      if (event.target === byId("talk")) event.preventDefault();
      this.release();
    });
    addEventListener("blur", () => this.release());
  }
}

// The same after a reload: the page stays the device that it was, as long as the same visitor speaks.
function deviceId(speaksAs) {
  const known = localStorage.getItem(STORED);
  if (known?.startsWith(`${speaksAs}-`)) return known;
  const [number] = crypto.getRandomValues(new Uint32Array(1));
  const id = `${speaksAs}-${number.toString(36).padStart(7, "0")}`;
  localStorage.setItem(STORED, id);
  return id;
}
