// The devices and their lines as an operator wants them: what came over each, what each prints, and forgetting one.

import { ask, send } from "./ask.js";
import { KeyedList, button, byId, element, setAttribute, setText } from "./dom.js";
import { count, moment } from "./format.js";

const AGAIN_MS = 5_000;
const LOG_MS = 1_500;
const MOST_LINES = 500;

export class Boards {
  constructor(session) {
    this.session = session;
    this.list = new KeyedList(byId("boards"), (board) => board.key, (board) => boardRow(board, new Log(), () => this.look()));
    this.timer = 0;
    this.seen = "";
  }

  // While somebody looks: again when a device comes or goes, and for what is counted every few seconds.
  show(house) {
    const seen = [...house.devices.values()].map(({ id, state, room }) => `${id} ${state} ${room}`).join(";");
    if (seen === this.seen) return;
    this.seen = seen;
    this.look();
  }

  async look() {
    clearTimeout(this.timer);
    if (!this.session.may("operate")) return;
    try {
      const [{ devices, refused }, { links }] = await Promise.all([ask("/api/v1/devices"), ask("/api/v1/links")]);
      this.list.show(boardsOf(devices, refused, links));
    } catch {
      // The gateway is away: the page says so, and what is known stays.
    }
    byId("boards-panel").hidden = byId("boards").childElementCount === 0;
    clearTimeout(this.timer);
    if (!byId("view-health").hidden) this.timer = setTimeout(() => this.look(), AGAIN_MS);
  }
}

// One row for each device, for whoever is refused, and for each line without a device.
function boardsOf(devices, refused, links) {
  const line = new Map(links.map((link) => [link.link, link]));
  const own = (link) => (link && link.link !== "mqtt" ? link : null);
  const rows = devices.map((device) => ({
    key: `device ${device.device_id}`,
    name: device.device_id,
    state: device.state === "connected" ? "Here" : `Away: ${device.reason}`,
    since: device.since,
    away: device.state !== "connected",
    log: `/api/v1/devices/${encodeURIComponent(device.device_id)}/log`,
    facts: [device.room, device.user_id, device.link, device.firmware, counted(own(line.get(device.link))), lossesOf(device.counters)],
    ...troubleOf(own(line.get(device.link))),
  }));
  for (const { device_id: id, link, reason, since, times } of refused) {
    rows.push({ key: `refused ${link} ${id}`, name: id || "A device", state: "Refused", since, bad: true, facts: [link, count(times, "time"), reason] });
  }
  for (const link of links.filter((one) => !one.devices.length || one.link === "mqtt")) {
    rows.push({ key: `link ${link.link}`, name: link.link, state: link.up ? "No device" : "Down", lines: link.lines, facts: [counted(link)], ...troubleOf(link) });
    if (link.link === "mqtt" && link.up) Object.assign(rows.at(-1), { state: count(link.devices.length, "device"), logsIn: true });
  }
  return rows;
}

function counted(link) {
  if (!link || link.counters.frames === undefined) return "";
  const { frames, crc_errors: crc, cobs_errors: cobs, oversized } = link.counters;
  const broken = crc + cobs + oversized;
  return `${count(frames, "frame")}, ${broken} broken`;
}

function lossesOf({ lost_frames: lost }) {
  return lost ? `${count(lost, "frame")} lost` : "";
}

function troubleOf(link) {
  return link?.reason ? { bad: true, reason: link.reason, remedy: link.remedy } : {};
}

// What a board logs in with at the gateway's own broker, also one that has not come yet.
function loginForm() {
  const name = element("input", "");
  const told = element("output", "");
  setAttribute(name, "aria-label", "Device id");
  setAttribute(name, "placeholder", "device id");
  const show = element("button", "plain quiet", "MQTT password");
  const form = element("form", "acts", name, show, told);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      setText(told, (await ask(`/api/v1/devices/${encodeURIComponent(name.value.trim())}/mqtt`)).password);
    } catch (error) {
      setText(told, error.message);
    }
  });
  return form;
}

function boardRow({ name: label }, log, changed) {
  const name = element("h4", "");
  const state = element("span", "state");
  const since = element("time", "since");
  const facts = element("p", "board-facts");
  const reason = element("p", "reason");
  const remedy = element("p", "remedy");
  const login = loginForm();
  let shown = {};
  const read = button("plain quiet", "Log", () => log.open(shown));
  const forget = button("plain quiet", "Forget", async () => {
    try {
      await send(`/api/v1/devices/${encodeURIComponent(shown.name)}`, "DELETE");
    } catch (error) {
      setText(reason, error.message);
    }
    changed();
  });
  setAttribute(read, "aria-label", `Log of ${label}`);
  setAttribute(forget, "aria-label", `Forget ${label}`);
  const head = element("div", "component-head", name, state, since);
  return {
    node: element("li", "board", head, facts, reason, remedy, login, element("p", "acts", read, forget)),
    update: (board) => {
      shown = board;
      setAttribute(head.parentElement, "data-bad", String(Boolean(board.bad || board.away)));
      setText(name, board.name);
      setText(state, board.state);
      setText(since, board.since ? `since ${moment(board.since)}` : "");
      setText(facts, board.facts.filter(Boolean).join(" · "));
      setText(reason, board.away ? "" : (board.reason ?? ""));
      setText(remedy, board.away ? "" : (board.remedy ?? ""));
      login.hidden = !board.logsIn;
      read.hidden = !board.log && !board.lines?.length;
      forget.hidden = !board.away;
    },
  };
}

// What a device prints, as long as the dialog is open.
class Log {
  open({ name, log, lines }) {
    this.after = 0;
    setText(byId("device-log-title"), `What ${name} prints`);
    byId("device-log-lines").replaceChildren();
    byId("device-log").showModal();
    if (log) this.follow(log);
    else this.add(lines, "");
  }

  async follow(path) {
    try {
      const { lines, dropped } = await ask(`${path}?after=${this.after}`);
      this.add(lines, dropped ? `${count(dropped, "older line")} dropped.` : "");
    } catch (error) {
      setText(byId("device-log-note"), error.message);
      return;
    }
    setTimeout(() => byId("device-log").open && this.follow(path), LOG_MS);
  }

  add(lines, note) {
    const list = byId("device-log-lines");
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    for (const { number, timestamp, text, level } of lines) {
      this.after = number;
      const row = element("li", "", element("time", "", moment(timestamp)), element("span", "", text));
      setAttribute(row, "data-level", level <= 4 ? "bad" : "plain");
      list.append(row);
      if (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    }
    setText(byId("device-log-note"), list.childElementCount ? note : "It has printed nothing yet.");
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}
