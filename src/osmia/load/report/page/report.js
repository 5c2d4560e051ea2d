"use strict";
// The page is complete without this: it only changes the theme and shows the columns' titles at once, in step.
(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const named = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  const keep = (theme) => { try { localStorage.setItem("osmia-theme", theme); } catch { /* a file may not store */ } };
  try { const kept = localStorage.getItem("osmia-theme"); if (kept) root.dataset.theme = kept; } catch { /* same */ }
  button.hidden = false;
  named();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", named);
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; keep(root.dataset.theme); named(); });

  const plots = [...document.querySelectorAll(".plot")].map((element) => {
    const hits = [...element.querySelectorAll(".hit")];
    const texts = hits.map((hit) => { const title = hit.firstElementChild; title.remove(); return title.textContent; });
    const ends = hits.map((hit) => Number(hit.getAttribute("x")) + Number(hit.getAttribute("width")));
    const tip = document.createElement("div");
    tip.className = "tip"; tip.hidden = true; tip.setAttribute("role", "status");
    element.append(tip);
    return { element, hits, texts, ends, tip, at: -1 };
  });
  const light = (plot, at, shows) => {
    plot.hits[plot.at]?.classList.remove("on");
    plot.at = at;
    plot.tip.hidden = !shows || at < 0;
    if (at < 0) return;
    plot.hits[at].classList.add("on");
    if (!shows) return;
    plot.tip.textContent = plot.texts[at];
    const share = plot.ends[at] / 1000;
    plot.tip.style.left = share < 0.55 ? `calc(${100 * share}% + 12px)` : "auto";
    plot.tip.style.right = share < 0.55 ? "auto" : `calc(${100 * (1 - share)}% + 24px)`;
  };
  const all = (from, at) => plots.forEach((plot) => {
    if (plot === from || plot.element.dataset.group === from.element.dataset.group) light(plot, at, plot === from);
  });
  for (const plot of plots) {
    plot.element.addEventListener("pointermove", (event) => {
      const box = plot.element.getBoundingClientRect(), x = (1000 * (event.clientX - box.left)) / box.width;
      all(plot, x < 0 || x > 1000 ? -1 : plot.ends.findIndex((end) => x <= end));
    });
    plot.element.addEventListener("pointerleave", () => all(plot, -1));
    plot.element.addEventListener("blur", () => all(plot, -1));
    plot.element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !plot.hits.length) return;
      event.preventDefault();
      all(plot, Math.min(plot.hits.length - 1, Math.max(0, plot.at + step)));
    });
  }
})();
