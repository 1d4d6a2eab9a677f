// Who this visitor is to the gateway, and signing out.

import { Refused, ask, send } from "./ask.js";
import { byId, setText } from "./dom.js";

const MAY = { operator: ["operate", "speak"], listener: ["speak"] };

export class Session {
  constructor() {
    this.role = "";
    byId("sign-out").addEventListener("click", () => this.signOut());
  }

  // Nobody, any more: the gateway has a form for that where the page was.
  async look() {
    try {
      const { name, role } = await ask("/api/v1/session");
      this.role = role;
      setText(byId("who-am-i"), name === "local" ? "" : `Signed in as ${name} (${role})`);
      byId("sign-out").hidden = name === "local";
      byId("composer").hidden = !this.may("speak");
    } catch (error) {
      if (error instanceof Refused && error.status === 401) location.reload();
    }
  }

  may(what) {
    return MAY[this.role]?.includes(what) ?? false;
  }

  async signOut() {
    await send("/api/v1/session", "DELETE").catch(() => {});
    location.reload();
  }
}
