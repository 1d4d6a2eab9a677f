// What the machine and the gateway use, over time, and what to do about it.

import { ask, reasonOf } from "./ask.js";
import { Curves } from "./curves.js";
import { byId, element, setText } from "./dom.js";
import { duration } from "./format.js";

const AGAIN_MS = 5_000;
const SPANS = { minutes: "15 minutes", hours: "12 hours" };

const bytes = (value) => (value >= 1e9 ? `${(value / 1e9).toFixed(1)} GB` : `${Math.round(value / 1e6)} MB`);
const plain = (value) => String(Number(value.toPrecision(3)));
const time = (value) => duration(1000 * value);
const PANELS = [
  ["Processor, in cores", [["gateway_cpu_cores", "gateway", "recognizer"], ["recognizer_cpu_cores", "recognizer", "queue"], ["load", "load", "endpoint"]], plain, 1],
  ["Memory", [["gateway_resident_bytes", "gateway", "recognizer"], ["recognizer_resident_bytes", "recognizer", "queue"], ["memory_available_bytes", "free", "endpoint"]], bytes, 1e8],
  ["What waits", [["recognizer_queue", "for the recognizer", "queue"], ["questions", "for an answer", "orchestrator"], ["unpublished", "for the broker", "publish"], ["undelivered", "for a device", "delivery"], ["broker_buffered", "in buffers", "endpoint"]], plain, 4],
  ["Devices, agents, broker", [["devices", "devices", "recognizer"], ["sessions", "sessions", "queue"], ["agents", "agents", "orchestrator"], ["broker_connected", "broker", "publish"]], plain, 4],
  ["How late the event loop is", [["event_loop_lag_seconds", "99 of 100 within", "recognizer"]], time, 0.01],
  ["Disk", [["disk_free_bytes", "free", "recognizer"]], bytes, 1e9],
];

export class MachineView {
  constructor() {
    this.span = "minutes";
    for (const [name, label] of Object.entries(SPANS)) byId("machine-span").append(this.choice(name, label));
    this.curves = PANELS.map((panel) => new Curves(...panel));
    byId("machine-curves").append(...this.curves.map(({ node }) => node));
  }

  choice(name, label) {
    const radio = element("input", "");
    Object.assign(radio, { type: "radio", name: "machine-span", checked: name === this.span });
    radio.addEventListener("change", () => {
      this.span = name;
      this.look();
    });
    return element("label", "", radio, element("span", "", label));
  }

  // All of it is asked for, nothing comes with events.
  show() {}

  opened() {
    return this.look();
  }

  // While somebody looks, every few seconds.
  async look() {
    clearTimeout(this.timer);
    const span = this.span;
    try {
      const machine = await ask(`/api/v1/machine?span=${span}`);
      if (span === this.span) this.tell(machine);
    } catch (error) {
      setText(byId("machine-note"), reasonOf(error));
    }
    clearTimeout(this.timer);
    if (!byId("view-machine").hidden) this.timer = setTimeout(() => this.look(), AGAIN_MS);
  }

  tell({ now, course, at_work: atWork, advice }) {
    setText(byId("machine-note"), now ? (advice.length ? "" : "Nothing is short here.") : "Nobody has looked yet; it takes a few seconds.");
    byId("machine").hidden = !now;
    byId("advice").replaceChildren(...advice.map(adviceOf));
    if (!now) return;
    byId("machine-now").replaceChildren(...factsOf(now).filter(([, value]) => value).map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
    for (const curve of this.curves) curve.show(course, atWork);
  }
}

function factsOf({ host, processes, cpu, lag }) {
  return [
    ["Load", `${plain(host.load)} on ${plain(host.cores)} cores`],
    ["Memory free", `${bytes(host.memory_available)} of ${bytes(host.memory_total)}`],
    ["Disk free", host.disk_total ? `${bytes(host.disk_free)} of ${bytes(host.disk_total)}` : ""],
    ["Temperature", host.temperature === null ? "" : `${Math.round(host.temperature)} °C${host.throttled ? ", throttled" : ""}`],
    ["Event loop late by", `${time(lag.p99)} at times`],
    ...Object.entries(processes).map(([name, one]) => [`${name[0].toUpperCase()}${name.slice(1).replace("_", " ")}`, `${bytes(one.resident_bytes)}, ${plain(100 * (cpu[name] ?? 0))} % of a core, ${one.descriptors} files`]),
  ];
}

function adviceOf({ urgent, text, remedy }) {
  const item = element("li", "problem", element("p", "reason", text), ...(remedy ? [element("p", "remedy", remedy)] : []));
  item.dataset.state = urgent ? "unhealthy" : "degraded";
  return item;
}
