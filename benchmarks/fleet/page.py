"""The report of a run as one page that asks nobody for anything: bars, figures, charts. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from benchmarks.fleet.charts import Chart, figure, svg
from benchmarks.instruments.report import Bar

STYLE = """
:root{color-scheme:light dark;--page:#fff;--text:#1b1f24;--dim:#5b6470;--line:#dfe3e8;--soft:#f4f6f8;--good:#177245;
--bad:#b3261e;--series-1:#1f6feb;--series-2:#c2410c;--series-3:#7c3aed;--series-4:#0f766e;--series-5:#a16207}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--text:#e6e9ed;--dim:#9aa4b0;--line:#30363d;--soft:#1c2127;
--good:#57c98a;--bad:#ff8a80;--series-1:#6cb0ff;--series-2:#ff9a62;--series-3:#b79cff;--series-4:#4fd1c0;
--series-5:#e5c04b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:88rem;padding:2rem 1.5rem 4rem;background:var(--page);
color:var(--text);font:15px/1.5 system-ui,sans-serif}h1{font-size:1.6rem;margin:0 0 .25rem}
h2{font-size:1.1rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0;max-width:62rem}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .7rem .35rem 0;
border-bottom:1px solid var(--line)}th{color:var(--dim);font-weight:500}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}.scroll{overflow-x:auto}.met{color:var(--good);font-weight:600}
.missed{color:var(--bad);font-weight:600}.charts{display:grid;gap:1.2rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr))}
figure{margin:0;padding:.9rem 1rem;background:var(--soft);border-radius:.6rem}figcaption{font-weight:600}
figcaption span{color:var(--dim);font-weight:400}svg{display:block;width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;font-size:.85rem;color:var(--dim)}.legend i{display:inline-block;
width:1rem;height:.2rem;margin-right:.4rem;vertical-align:middle;border-radius:1px}
.grid{stroke:var(--line);stroke-width:1}.mark{fill:var(--text);opacity:.04}.mark:nth-of-type(even){opacity:.08}
.tick,.name{fill:var(--dim);font-size:11px}.limit{stroke:var(--bad);stroke-dasharray:5 4;stroke-width:1.2}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
""" + "".join(f".s{n}{{stroke:var(--series-{n})}}i.s{n}{{background:var(--series-{n})}}" for n in range(1, 6))


def page(
    title: str,
    words: Iterable[str],
    bars: Sequence[Bar],
    columns: Mapping[str, Mapping[str, float | int | str]],
    charts: Iterable[Chart],
) -> str:
    """``words``: paragraphs on what was run, and where. ``columns``: the figures of each phase, by its name."""
    missed = sum(not bar.ok for bar in bars)
    verdict = f"{missed} of {len(bars)} bars missed" if missed else f"all {len(bars)} bars met"
    mood = "missed" if missed else "met"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p class="{mood}">{verdict}</p>'
        f"{''.join(f'<p>{escape(one)}</p>' for one in words)}"
        f"<h2>Bars</h2>{_bars(bars)}<h2>Over time</h2>"
        f'<div class="charts">{"".join(map(_figure, charts))}</div>'
        f"<h2>Figures</h2>{_columns(columns)}</body></html>\n"
    )


def _bars(bars: Iterable[Bar]) -> str:
    rows = "".join(
        f'<tr><td>{escape(bar.what)}</td><td class="n">{figure(bar.value)} {escape(bar.unit)}</td>'
        f'<td class="n">{bar.sense} {figure(bar.limit)} {escape(bar.unit)}</td>'
        f'<td class="{"met" if bar.ok else "missed"}">{"met" if bar.ok else "missed"}</td></tr>'
        for bar in bars
    )
    head = '<tr><th>What</th><th class="n">Measured</th><th class="n">Bar</th><th></th></tr>'
    return f'<div class="scroll"><table>{head}{rows}</table></div>'


def _columns(columns: Mapping[str, Mapping[str, float | int | str]]) -> str:
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in columns)
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    rows = "".join(
        f"<tr><td>{escape(key)}</td>"
        + "".join(f'<td class="n">{_cell(column.get(key, ""))}</td>' for column in columns.values())
        + "</tr>"
        for key in keys
    )
    return f'<div class="scroll"><table><tr><th>What</th>{head}</tr>{rows}</table></div>'


def _cell(value: float | str) -> str:
    return escape(value) if isinstance(value, str) else figure(value)


def _figure(chart: Chart) -> str:
    legend = "".join(
        f'<span><i class="s{number}"></i>{escape(curve.name)}</span>'
        for number, curve in enumerate(chart.curves, 1)
    )
    return (
        f"<figure><figcaption>{escape(chart.title)} <span>{escape(chart.unit)}</span></figcaption>{svg(chart)}"
        f'<div class="legend">{legend}</div></figure>'
    )
