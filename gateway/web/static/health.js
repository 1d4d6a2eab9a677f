// Every part of the gateway: how it is, why, what to do about it, and since when.

import { Agents } from "./agents.js";
import { ask } from "./ask.js";
import { Boards } from "./boards.js";
import { KeyedList, byId, element, setAttribute } from "./dom.js";
import { span } from "./format.js";
import { byWeight } from "./house.js";
import { partRow } from "./part-row.js";

const AGAIN_MS = 3_000;
const HEALTH_WORDS = { unhealthy: "Does not work", degraded: "Works less well", healthy: "Works" };

// How a part is, in words; the gateway may do its job without one that does not work at all.
export function healthWords({ state, works }) {
  return works === false ? HEALTH_WORDS.unhealthy : (HEALTH_WORDS[state] ?? state);
}

export class HealthView {
  // `session.may("govern")` says whether this visitor may know the models.
  constructor(session) {
    this.session = session;
    this.boards = new Boards(session, () => this.look());
    this.agents = new Agents();
    this.list = new KeyedList(byId("components"), (component) => component.component, componentRow);
  }

  show(house) {
    const isShown = ({ component, state }) => state !== "healthy" || !component.startsWith("agent"); // these stand below
    const components = [...house.components.values()].filter(isShown).sort(byWeight);
    this.list.show(components);
    byId("components-empty").hidden = components.length > 0;
    this.boards.show(house);
  }

  // While somebody looks: when a device comes or goes, and every few seconds.
  async look() {
    clearTimeout(this.timer);
    await Promise.all([this.boards.look(), this.agents.look()]);
    clearTimeout(this.timer);
    if (!byId("view-health").hidden) this.timer = setTimeout(() => this.look(), AGAIN_MS);
  }

  // What the gateway says of itself, whenever somebody looks.
  async opened() {
    this.look();
    const health = await ask("/api/v1/health").catch(() => ({}));
    // Models are the house's, and an operator's business who has all of it.
    const { running } = this.session.may("govern") ? await ask("/api/v1/models").catch(() => ({})) : {};
    const facts = [
      ["Version", health.version],
      ["Model", running && [running.model, running.engine].filter(Boolean).join(", ")],
      ["Up for", health.uptime_seconds && span(health.uptime_seconds)],
      ["Run", health.epoch],
    ];
    byId("gateway").replaceChildren(...facts.filter(([, value]) => value).map(factOf));
  }
}

function factOf([name, value]) {
  return element("div", "", element("dt", "", name), element("dd", "", String(value)));
}

function componentRow() {
  const { node, update } = partRow("problem", "h3");
  return {
    node,
    update: (part) => {
      setAttribute(node, "data-state", part.state);
      const name = [part.about, part.component].filter(Boolean).join(" · ");
      update({ ...part, name, state: healthWords(part), since: part.timestamp, facts: [part.detail] });
    },
  };
}
