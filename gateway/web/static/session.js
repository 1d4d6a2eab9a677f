// Who this visitor is to the gateway, and signing out.

import { Refused, ask, send } from "./ask.js";
import { byId, setText } from "./dom.js";

const MAY = { operator: ["operate", "speak"], listener: ["speak"] };

export class Session {
  constructor() {
    this.role = "";
    this.scoped = false;
    this.speaksAs = "";
    byId("sign-out").addEventListener("click", () => this.signOut());
  }

  // Nobody, any more: the gateway has a form for that where the page was.
  async look() {
    try {
      const { name, role, users, devices, speaks_as: speaksAs } = await ask("/api/v1/session");
      this.role = role;
      this.scoped = users.length + devices.length > 0;
      this.speaksAs = speaksAs;
      setText(byId("who-am-i"), name === "local" ? "" : `Signed in as ${name} (${role})`);
      byId("sign-out").hidden = name === "local";
      byId("composer").hidden = !this.may("speak");
    } catch (error) {
      if (error instanceof Refused && error.status === 401) location.reload();
    }
  }

  may(what) {
    if (what === "govern") return this.role === "operator" && !this.scoped;
    return Boolean(MAY[this.role]?.includes(what));
  }

  async signOut() {
    await send("/api/v1/session", "DELETE").catch(() => {});
    location.reload();
  }
}
