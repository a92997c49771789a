"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Light or dark: the system's scheme until the reader chooses one.
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => { button.textContent = isDark() ? "Light page" : "Dark page"; };
  try { root.dataset.theme = localStorage.getItem("edanas-theme") || ""; } catch { /* not available to a local file */ }
  if (!root.dataset.theme) delete root.dataset.theme;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("edanas-theme", root.dataset.theme); } catch { /* as above */ }
    label();
  });
  system.addEventListener("change", label);
  label();

  // Charts: show the description of the point nearest to the pointer, or reached by the arrow keys.
  const place = (point) => {
    const disc = point.querySelector("circle");
    return [disc.cx.baseVal.value, disc.cy.baseVal.value];
  };
  for (const chart of all("svg.chart")) {
    const description = document.getElementById(`${chart.id}-description`);
    const points = all(".point", chart).map((point) => {
      const title = point.querySelector("title");
      const text = title.textContent;
      point.setAttribute("role", "img");
      point.setAttribute("aria-label", text);
      title.remove();
      return { point, text, at: place(point) };
    }).sort((a, b) => a.at[0] - b.at[0] || b.at[1] - a.at[1]);
    const shown = () => points.filter(({ point }) => !point.classList.contains("later"));
    let chosen = null;
    const choose = (next) => {
      chosen?.point.classList.remove("chosen");
      chosen = next;
      if (!next) return;
      next.point.classList.add("chosen");
      description.textContent = next.text;
      description.classList.add("filled");
    };
    const nearest = (event) => {
      const box = chart.getBoundingClientRect(), scale = chart.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      const far = ({ at }) => Math.hypot(at[0] - x, at[1] - y);
      // Of overlapping points, the one drawn last is visible.
      const best = shown().reduce((a, b) => (a && far(a) < far(b) ? a : b), null);
      return best && far(best) < 28 * Math.max(1, scale) ? best : null;
    };
    chart.addEventListener("pointermove", (event) => { const near = nearest(event); if (near) choose(near); });
    chart.addEventListener("click", (event) => { const near = nearest(event); if (near) choose(near); });
    chart.addEventListener("keydown", (event) => {
      const list = shown(), at = list.indexOf(chosen);
      const next = {
        ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at < 0 ? 0 : at - 1, ArrowDown: at < 0 ? 0 : at - 1,
        Home: 0, End: list.length - 1,
      }[event.key];
      if (next !== undefined) {
        choose(list[Math.min(Math.max(next, 0), list.length - 1)]);
        event.preventDefault();
      } else if (event.key === "Enter" && chosen?.point.dataset.target) {
        const target = document.getElementById(chosen.point.dataset.target);
        target?.scrollIntoView();
        target?.focus();
      }
    });
  }

  // History of the search: the candidates up to an iteration, and their front.
  const until = document.getElementById("until");
  const dots = all("#fronts .point.dot");
  const line = document.getElementById("searched");
  const newest = Math.max(1, ...dots.map((dot) => Number(dot.dataset.iteration || 0)));
  for (const dot of dots) {
    if (dot.dataset.iteration) dot.style.setProperty("--new", 0.3 + (0.7 * dot.dataset.iteration) / newest);
  }
  const replay = () => {
    const end = until ? Number(until.value) : Infinity;
    const front = [];
    for (const dot of dots) dot.classList.toggle("later", Number(dot.dataset.iteration || 0) > end);
    const visible = dots.filter((dot) => !dot.classList.contains("later") && !dot.classList.contains("under"));
    for (const [x, y] of visible.map(place).sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
      if (!front.length || y < front.at(-1)[1]) front.push([x, y]);
    }
    line?.setAttribute("d", front.length ? `M${front.map(([x, y]) => `${x} ${y}`).join("L")}` : "");
    if (until) until.parentElement.querySelector("output").textContent = `${end} of ${until.max}`;
  };
  if (until) {
    until.closest(".control").hidden = false;
    until.addEventListener("input", replay);
  }
  replay();

  // Copy the settings, or select them if the clipboard is not available.
  const copy = document.getElementById("copy"), settings = document.getElementById("settings");
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const message = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(settings.textContent);
      message.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(settings);
      message.textContent = "Selected; copy with Ctrl+C.";
    }
  });
})();
