// Every part of the gateway: how it is, why, what to do about it, and since when.

import { Agents } from "./agents.js";
import { ask } from "./ask.js";
import { Boards } from "./boards.js";
import { KeyedList, byId, element, setAttribute, setText } from "./dom.js";
import { moment, span } from "./format.js";
import { byWeight } from "./house.js";

const HEALTH_WORDS = { unhealthy: "Does not work", degraded: "Works less well", healthy: "Works" };

// How a part is, in words; the gateway may do its job without one that does not work at all.
export function healthWords({ state, works }) {
  return works === false ? HEALTH_WORDS.unhealthy : (HEALTH_WORDS[state] ?? state);
}

export class HealthView {
  // `session.may("govern")` says whether this visitor may know the models.
  constructor(session) {
    this.session = session;
    this.boards = new Boards(session);
    this.agents = new Agents();
    this.list = new KeyedList(byId("components"), (component) => component.component, componentRow);
  }

  show(house) {
    const components = [...house.components.values()].filter((part) => !isWellAgent(part)).sort(byWeight);
    this.list.show(components);
    byId("components-empty").hidden = components.length > 0;
    this.boards.show(house);
    this.agents.show(house);
  }

  // What the gateway says about itself, asked for whenever somebody looks.
  async opened() {
    this.boards.look();
    this.agents.look();
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

// An agent that is well stands among the agents only.
function isWellAgent({ component, state }) {
  return state === "healthy" && (component === "agents" || component.startsWith("agent "));
}

function factOf([name, value]) {
  return element("div", "", element("dt", "", name), element("dd", "", String(value)));
}

function componentRow() {
  const name = element("h3", "");
  const state = element("span", "state");
  const since = element("time", "since");
  const detail = element("p", "detail");
  const reason = element("p", "reason");
  const remedy = element("p", "remedy");
  const node = element("li", "problem", element("div", "component-head", name, state, since), detail, reason, remedy);
  return {
    node,
    update: (component) => {
      setAttribute(node, "data-state", component.state);
      setText(name, [component.about, component.component].filter(Boolean).join(" · "));
      setText(state, healthWords(component));
      setText(since, `since ${moment(component.timestamp)}`);
      setText(detail, component.detail ?? "");
      setText(reason, component.reason);
      setText(remedy, component.remedy);
    },
  };
}
