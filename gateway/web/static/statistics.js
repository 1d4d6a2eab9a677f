// Percentiles, and series of them over time. No document here.

// Nearest rank: the smallest value that so many percent do not exceed.
export function percentile(values, percent) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
}

// Points `{at, value}` in bins of equal time: `{from, to, p50, p95, n}`, empty ones left out.
export function binned(points, most) {
  if (points.length === 0) return [];
  const times = points.map(({ at }) => at);
  const from = Math.min(...times);
  const width = Math.max(1, (Math.max(...times) - from) / most);
  const bins = new Map();
  for (const { at, value } of points) {
    const number = Math.min(most - 1, Math.floor((at - from) / width));
    if (!bins.has(number)) bins.set(number, []);
    bins.get(number).push(value);
  }
  return [...bins.entries()].sort(([a], [b]) => a - b).map(([number, values]) => ({
    from: from + number * width,
    to: from + (number + 1) * width,
    p50: percentile(values, 50),
    p95: percentile(values, 95),
    n: values.length,
  }));
}

// Round steps for an axis from 0 to at least `most`, about `count` of them.
export function ticks(most, count) {
  const rough = Math.max(most, 1e-9) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}
