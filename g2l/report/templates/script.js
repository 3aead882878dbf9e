"use strict";
// Zooms the strips: the track becomes wider than its window, which then scrolls as everything else does.
for (const figure of document.querySelectorAll(".strips")) {
  const view = figure.querySelector(".window");
  const track = figure.querySelector(".track");
  const tools = figure.querySelector(".tools");
  const shown = figure.querySelector("output");
  let zoom = 1;
  const set = (wanted) => {
    const next = Math.min(32, Math.max(1, wanted));
    const middle = (view.scrollLeft + view.clientWidth / 2) / zoom;
    zoom = next;
    track.style.setProperty("--zoom", String(zoom));
    track.dataset.level = zoom >= 16 ? "2" : zoom >= 4 ? "1" : "0";
    view.scrollLeft = middle * zoom - view.clientWidth / 2;
    shown.textContent = `${zoom} ×`;
  };
  const by = (factor) => set(factor ? zoom * factor : 1);
  tools.hidden = false;
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) by(Number(button.dataset.zoom));
  });
  view.addEventListener("keydown", (event) => {
    const factor = { "+": 2, "=": 2, "-": 0.5, 0: 0 }[event.key];
    if (factor === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    by(factor);
  });
}
// In the frame that MLflow shows the page in, a link to a part of the page would load it anew, which is refused.
for (const link of document.querySelectorAll('a[href^="#"]')) {
  link.addEventListener("click", (event) => {
    const target = document.getElementById(link.hash.slice(1));
    event.preventDefault();
    target.scrollIntoView();
    target.tabIndex = -1;
    target.focus();
  });
}
// What is folded away on a screen is printed.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
