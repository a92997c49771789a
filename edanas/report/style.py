"""The report's style sheet."""

STYLE = """\
:root { --ink: #1f2328; --paper: #fff; --soft: #f3f4f6; --line: #d5d8dc; --link: #0063a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e8; --paper: #16181b; --soft: #22252a; --line: #3c4046; --link: #6cb6f0; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
a { color: var(--link); }
.facts, .note { font-size: 0.85rem; opacity: 0.85; }
.wide { overflow-x: auto; margin: 1rem 0; }
figure svg { display: block; width: 100%; min-width: 30rem; max-width: 46rem; height: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.6rem; text-align: right; white-space: nowrap; }
td { border-bottom: 1px solid var(--line); }
th { vertical-align: bottom; white-space: normal; overflow-wrap: normal; background: var(--soft); }
td:nth-child(11), td:nth-child(12) { white-space: pre; font-family: ui-monospace, monospace; }
.leave { margin: 0 0 1rem; }
.leave p { margin: 0.2rem 0; }
.bar { display: flex; height: 1.6rem; border-radius: 4px; overflow: hidden; background: var(--soft); }
.bar span { color: #fff; font-size: 0.8rem; line-height: 1.6rem; text-align: center; overflow: hidden; }
.key { display: inline-block; width: 0.7em; height: 0.7em; margin-right: 0.35em; border-radius: 2px; }
.e0 { background: #00507f; }
.e1 { background: #0072b2; }
.e2 { background: #24708f; }
.e3 { background: #00785a; }
.last { background: #b34f00; }
pre { background: var(--soft); padding: 0.8rem; border-radius: 4px; overflow-x: auto; font-size: 0.8rem; }
"""
