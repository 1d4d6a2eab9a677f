// The WebSocket: connects for ever, and resumes after the last event it got.

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const ANSWERS = new Set(["not_said", "ignored"]); // errors that do not end the connection

export class Connection {
  // `onEvent(event)` gets every event; `onState(state, reason)` gets connecting, live, lost.
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.cursors = {};
    this.pause = FIRST_PAUSE_MS;
    this.timer = null;
    this.reason = "";
    this.socket = null;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = null;
    const socket = (this.socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`));
    socket.onopen = () => this.resume(socket);
    socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    socket.onclose = () => this.retry();
  }

  // The network is back, or somebody looks at the page again.
  hurry() {
    if (this.timer !== null) this.open();
  }

  resume(socket) {
    socket.send(JSON.stringify({ type: "subscribe", levels: true, cursors: this.cursors }));
    this.pause = FIRST_PAUSE_MS;
    this.reason = "";
    this.onState("live", "");
  }

  // False: there is no connection.
  say(text, ref) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ type: "say", text, ref }));
    return true;
  }

  receive(event) {
    if (event.type === "said" || ANSWERS.has(event.code)) return this.onEvent(event);
    if (event.type === "error") {
      if (event.code === "not_admitted") location.reload(); // to the form for signing in
      this.pause = LONGEST_PAUSE_MS;
      this.reason = event.reason;
      return undefined;
    }
    this.cursors = { ...(event.cursors ?? this.cursors), [event.epoch]: event.seq };
    return this.onEvent(event);
  }

  retry() {
    this.onState("lost", this.reason);
    this.timer = setTimeout(() => this.open(), this.pause * (0.5 + Math.random() / 2));
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
  }
}
