// Numbers and names as people read them.

const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"]];

export function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

// Short times in milliseconds, long ones in seconds.
export function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : seconds(milliseconds);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

// The time, with the day before it unless that is today.
export function moment(timestamp) {
  const when = new Date(timestamp * 1000);
  const today = when.toDateString() === new Date().toDateString();
  return today ? clock.format(when) : `${day.format(when)}, ${clock.format(when)}`;
}

// How long ago, in its two largest units.
export function span(seconds_) {
  const parts = [];
  let left = Math.max(0, Math.floor(seconds_));
  for (const [size, unit] of UNITS) {
    if (left >= size) parts.push(`${Math.floor(left / size)} ${unit}`);
    left %= size;
  }
  return parts.slice(0, 2).join(" ") || `${left} s`;
}

// The end of an id tells it apart; the prefix says what it is.
export function shortId(id) {
  return id.length > 12 ? `${id.slice(0, 2)}…${id.slice(-6)}` : id;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
