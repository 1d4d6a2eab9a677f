// A scrolled list that stays at its end while it grows, unless somebody looks at something earlier.

const NEAR = 48;

export class Tail {
  // `newest`: the button that leads back to the end.
  constructor(scroll, newest) {
    this.scroll = scroll;
    this.newest = newest;
    this.follows = true;
    this.top = 0;
    const look = () => this.look();
    scroll.addEventListener("scroll", look, { passive: true });
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", () => this.keep(() => {}));
    newest.addEventListener("click", () => {
      this.follows = true;
      this.keep(() => {});
      scroll.focus({ preventScroll: true });
    });
  }

  // On low screens the whole page scrolls instead of the list.
  get box() {
    return getComputedStyle(this.scroll).overflowY === "auto" ? this.scroll : document.scrollingElement;
  }

  keep(change) {
    change();
    const { box } = this;
    if (this.follows) box.scrollTop = box.scrollHeight;
    this.newest.hidden = this.follows || box.scrollHeight <= box.clientHeight + NEAR;
  }

  // The list itself only ever grows downwards: whoever moves up wants to read something earlier.
  look() {
    const { box } = this;
    if (box.scrollHeight - box.clientHeight - box.scrollTop < NEAR) this.follows = true;
    else if (box.scrollTop < this.top) this.follows = false;
    this.top = box.scrollTop;
    this.keep(() => {});
  }
}
