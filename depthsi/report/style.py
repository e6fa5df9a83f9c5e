"""The style sheet of the page: light and dark, from narrow to wide."""

from depthsi.report.markup import Html

STYLE = Html("""
:root { color-scheme: light dark;
  --back: #fcfcfb; --card: #fff; --ink: #1d2125; --soft: #5b6470; --line: #d9dde2;
  --c0: #0b62a8; --c1: #c2410c; --c2: #0f766e; --c3: #9333a8; --c4: #8a6d00; --c5: #57606a;
  --good: #0f6b3c; --bad: #b3261e; --hint: #fff4d6; }
@media (prefers-color-scheme: dark) { :root {
  --back: #14171a; --card: #1b1f23; --ink: #e6e9ec; --soft: #9aa5b1; --line: #343b43;
  --c0: #6cb2f0; --c1: #f59e6b; --c2: #5fc9bd; --c3: #d59be6; --c4: #e0c04c; --c5: #b4bdc7;
  --good: #6fd19b; --bad: #ff8f86; --hint: #3a3218; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 16px; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3em; }
h2 { font-size: 1.2rem; margin: 2.2em 0 .6em; padding-top: .6em;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4em 0 .4em; }
p { margin: .4em 0; max-width: 75ch; }
a { color: var(--c0); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: .8em 0; }
.soft, figcaption, .note { color: var(--soft); font-size: .87rem; }
.problem { background: var(--hint); padding: .5em .8em; border-radius: 6px; max-width: none; }
.key { display: flex; flex-wrap: wrap; gap: 10px; margin: 1em 0; padding: 0; list-style: none; }
.key li { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 8px 14px; }
.key b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.grid-charts { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px; margin: 0; min-width: 0; }
.card > figcaption { color: var(--ink); font-weight: 600; margin-bottom: 4px; }
.narrow { max-width: 460px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); stroke-width: .7; }
svg .axis { stroke: var(--soft); }
svg .mark { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .diagonal { stroke: var(--c1); stroke-dasharray: 5 4; }
svg .line polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg .bar { fill: var(--c0); }
svg .fill0 { fill: var(--c0); } svg .fill1 { fill: var(--c1); } svg .fill2 { fill: var(--c2); }
svg text.on { fill: var(--card); font-weight: 600; }
.line0 { stroke: var(--c0); } .line0 circle { fill: var(--c0); }
.line1 { stroke: var(--c1); } .line1 circle { fill: var(--c1); }
.line2 { stroke: var(--c2); } .line2 circle { fill: var(--c2); }
.line3 { stroke: var(--c3); } .line3 circle { fill: var(--c3); }
.line4 { stroke: var(--c4); } .line4 circle { fill: var(--c4); }
.line5 { stroke: var(--c5); } .line5 circle { fill: var(--c5); }
.line circle { stroke: transparent; stroke-width: 8; }
.back0 { background: var(--c0); } .back1 { background: var(--c1); }
.back2 { background: var(--c2); } .back3 { background: var(--c3); }
.back4 { background: var(--c4); } .back5 { background: var(--c5); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 0;
  margin: .5em 0; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  margin-right: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: 4px 10px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-weight: 600; position: sticky; left: 0; background: var(--back); }
td small, th small { display: block; color: var(--soft); font-size: .75rem; }
tr.main td, tr.main th { background: var(--card); }
tr.main th { border-left: 3px solid var(--c0); }
tr.group th { position: static; color: var(--soft); font-weight: 400; padding-top: 1em;
  white-space: normal; }
tr.group span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 60px); }
.card th { white-space: normal; } .card tbody th { background: var(--card); }
.better { color: var(--good); } .worse { color: var(--bad); }
.settings { columns: 340px; column-gap: 28px; }
.settings section { break-inside: avoid; margin-bottom: 1em; }
.settings h3 { margin-top: 0; }
.settings table { width: 100%; } .settings td { white-space: normal; overflow-wrap: anywhere; }
.settings td:last-child { text-align: right; }
tr.changed td { font-weight: 600; }
tr.changed td:first-child::before { content: "\\25CF\\A0"; color: var(--c1); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px; white-space: pre-wrap; font-size: .85rem; }
.shown { margin: 0 0 18px; }
.images { display: grid; gap: 8px; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); }
.images.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
.images figure { margin: 0; }
.images img { width: 100%; display: block; border-radius: 4px; }
.sharp { image-rendering: pixelated; }
.scales { display: grid; gap: 12px 32px; margin: .8em 0 1.2em;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
.bar-scale { margin: 0; padding: 0 4px; }
.bar-scale img { width: 100%; height: 14px; display: block; border-radius: 3px; }
.bar-scale div { position: relative; height: 1.5em; font-size: .78rem; color: var(--soft); }
.bar-scale span { position: absolute; white-space: nowrap; }
.bar-scale .mid { transform: translateX(-50%); } .bar-scale .last { transform: translateX(-100%); }
details { margin: .8em 0; } summary { cursor: pointer; color: var(--c0); }
@media (max-width: 600px) { body { padding: 12px; } th, td { padding: 4px 6px; }
  td small { white-space: normal; min-width: 4em; } tbody th { white-space: normal; } }
""")
