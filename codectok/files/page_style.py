"""The style sheet and the script of the report: plain CSS and JavaScript, nothing loaded from elsewhere."""

CSS = """
:root { color-scheme: light dark; --bg: #fbfaf8; --card: #ffffff; --ink: #1c1b1a; --soft: #68645f; --line: #e2ded8;
  --accent: #7a3b8f; --far: #c1121f; --tip: #1c1b1af0; --gutter: 3.2rem; }
@media (prefers-color-scheme: dark) { :root { --bg: #161517; --card: #1f1e21; --ink: #ecebe9; --soft: #a19d98;
  --line: #36343a; --accent: #d59be6; --far: #ff7b72; --tip: #000000e0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Noto Sans",
  "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
header, .summary > div, main, footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.6rem; padding-bottom: .6rem; }
h1 { font-size: 1.5rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
header p, h2 small, .meta, .note, footer { color: var(--soft); font-weight: 400; font-size: .86rem; }
header p { margin: .2rem 0 0; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 2px; }
.summary { position: sticky; top: 0; z-index: 5; background: var(--bg); border-bottom: 1px solid var(--line);
  padding: .4rem 0 .5rem; max-height: 45vh; overflow: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: right; font-weight: 500; color: var(--soft); padding: .15rem .7rem .3rem 0; vertical-align: bottom;
  border-bottom: 1px solid var(--line); }
td { text-align: right; padding: .22rem .7rem .22rem 0; white-space: nowrap; vertical-align: top; }
td .pm { display: block; font-size: .78rem; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 10rem; }
td:last-child, th:last-child { padding-right: 0; }
.pm, .none { color: var(--soft); }
.far, .row .meta b.far { color: var(--far); font-weight: 700; }
.none { font-size: .8rem; white-space: normal; }
svg.used { vertical-align: -3px; margin-left: .5rem; }
svg.used rect { fill: var(--accent); } svg.used rect.all { fill: var(--line); }
nav { margin-top: .4rem; font-size: .85rem; white-space: nowrap; overflow-x: auto; scrollbar-width: thin; }
nav a { margin-right: .9rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem .4rem;
  margin: 1.1rem 0; scroll-margin-top: var(--sticky, 9rem); }
.row { padding: .55rem 0 .5rem; border-top: 1px solid var(--line); break-inside: avoid; }
.row > .head { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem 1rem; margin-bottom: .35rem; }
.row .label { font-weight: 600; }
.row .meta b { color: var(--ink); font-weight: 600; }
audio { height: 2rem; width: 17rem; max-width: 100%; margin-left: auto; }
.grid { display: grid; grid-template-columns: var(--gutter) 1fr; }
.side { position: relative; font-size: .7rem; color: var(--soft); }
.side span { position: absolute; right: .45rem; transform: translateY(50%); white-space: nowrap; }
.plot { position: relative; overflow: hidden; cursor: crosshair; background: #000004; }
.plot img { display: block; }
.spec img { width: 100%; height: 132px; }
.codes { margin-top: 3px; background: var(--line); }
.codes img { image-rendering: pixelated; }
.head-line { position: absolute; top: 0; bottom: 0; width: 1px; background: #ffffffd0; display: none;
  pointer-events: none; }
.axis { position: relative; height: 1.15rem; font-size: .7rem; color: var(--soft); }
.axis span { position: absolute; transform: translateX(-50%); padding-top: 3px; white-space: nowrap; }
.axis span::before { content: ""; position: absolute; left: 50%; top: 0; height: 4px;
  border-left: 1px solid var(--soft); }
.axis span:first-child { transform: none; } .axis span:first-child::before { left: 0; }
#tip { position: fixed; z-index: 9; display: none; pointer-events: none; max-width: 30rem; padding: .35rem .55rem;
  border-radius: 6px; background: var(--tip); color: #f2f0ed; font-size: .78rem; }
#tip i { font-style: normal; color: #b9b4ae; } #tip b { color: #ffd479; }
footer { padding-top: .3rem; padding-bottom: 2rem; }
footer p { margin: .25rem 0; max-width: 60rem; }
@media (max-width: 60rem) { audio { margin-left: 0; width: 100%; } .summary { position: static; max-height: none; } }
@media print { :root { --bg: #fff; --card: #fff; --ink: #000; --soft: #555; --line: #ccc; --accent: #5b2a6d; }
  body { font-size: 10.5pt; } .summary { position: static; max-height: none; overflow: visible; }
  table { font-size: 8pt; } th, td { padding-right: .5rem; white-space: normal; } svg.used { display: none; }
  audio, nav, #tip, header p { display: none !important; }
  section { border: 0; padding: 0; } h2 { break-after: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } .spec img { height: 80px; } }
"""

SCRIPT = """
(() => {
  const summary = document.querySelector('.summary'), tip = document.getElementById('tip');
  const room = () => document.documentElement.style.setProperty('--sticky', summary.offsetHeight + 12 + 'px');
  addEventListener('resize', room); room();
  const audios = [...document.querySelectorAll('audio')];
  // One sound at a time; another version of the same clip goes on where the last one was.
  audios.forEach(audio => audio.addEventListener('play', () => {
    audios.forEach(other => {
      if (other === audio || other.paused) return;
      if (other.closest('section') === audio.closest('section')) audio.currentTime = other.currentTime;
      other.pause();
    });
    requestAnimationFrame(() => follow(audio));
  }));
  function follow(audio) {
    const row = audio.closest('.row'), length = +row.closest('section').dataset.seconds;
    row.querySelectorAll('.head-line').forEach(line => {
      line.style.display = 'block';
      line.style.left = 100 * audio.currentTime / length + '%';
    });
    if (!audio.paused) requestAnimationFrame(() => follow(audio));
  }
  document.querySelectorAll('.plot').forEach(plot => plot.addEventListener('click', event => {
    const audio = plot.closest('.row').querySelector('audio'), box = plot.getBoundingClientRect();
    if (!audio) return;
    const time = (event.clientX - box.left) / box.width * +plot.closest('section').dataset.seconds;
    audio.play().then(() => { audio.currentTime = time; });
  }));
  const unpack = text => new Uint32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
  document.querySelectorAll('.codes').forEach(plot => {
    let codes = null;
    plot.addEventListener('mousemove', event => {
      codes = codes || unpack(plot.dataset.codes);
      const box = plot.querySelector('img').getBoundingClientRect(), d = plot.dataset, levels = +d.levels;
      const frames = codes.length / levels, level = Math.floor((event.clientY - box.top) / box.height * levels);
      const frame = Math.floor((event.clientX - box.left) / box.width * frames);
      if (level < 0 || level >= levels || frame < 0 || frame >= frames) { tip.style.display = 'none'; return; }
      const all = Array.from({length: levels}, (_, k) => codes[k * frames + frame]);
      tip.innerHTML = '<i>frame ' + frame * d.step + ', ' + (frame * d.step / d.rate).toFixed(2) + ' s, codebook '
        + (level + 1) + '</i><br>' + all.map((c, k) => k === level ? '<b>' + c + '</b>' : c).join(' ');
      tip.style.display = 'block';
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
      tip.style.top = event.clientY + 16 + 'px';
    });
    plot.addEventListener('mouseleave', () => { tip.style.display = 'none'; });
  });
})();
"""
