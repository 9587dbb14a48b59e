// Makes the fronts answer: hover shows a network, click or Enter selects it.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // How near the pointer has to be to a mark, in pixels.
  const REACH = 28;

  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  const list = (facts) => {
    const element = make("dl");
    for (const [label, value] of facts) element.append(make("dt", label), make("dd", value));
    return element;
  };

  const drawing = ([shell, ...parts]) => {
    const holder = make("div");
    // The pieces are this page's own drawings, escaped where they were made.
    holder.innerHTML = data.pieces[shell];
    holder.firstChild.innerHTML = parts.map((part) => data.pieces[part]).join("");
    return holder.firstChild;
  };

  const fill = (panel, point) => {
    panel.replaceChildren(make("h4", point.name), make("p", point.group + (point.status ? `, ${point.status}` : ""), { class: "note" }));
    if (point.reason) panel.append(make("p", point.reason));
    if (point.command) {
      const next = make("p", "Next: ");
      next.append(make("code", point.command));
      panel.append(next);
    }
    panel.append(list(point.facts));
    if (point.links && point.links.length) {
      const line = make("p");
      point.links.forEach(([text, href], index) => line.append(index ? ", " : "", make("a", text, { href })));
      panel.append(line);
    }
    if (point.arch) panel.append(list(point.arch));
    if (point.drawing) panel.append(drawing(point.drawing));
  };

  const start = (plot) => {
    const svg = plot.querySelector("svg");
    const tip = plot.querySelector(".tip");
    const panel = document.querySelector(`.panel[data-device="${plot.dataset.device}"]`);
    const point = (mark) => data.points[mark.dataset.number];
    const all = [...svg.querySelectorAll(".mark")];
    const centre = (mark) => {
      const box = mark.querySelector("path").getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    };
    const across = (mark) => mark.transform.baseVal.getItem(0).matrix.e;
    const ordered = [...all].sort((first, second) => across(first) - across(second));
    let shown = null;
    let selected = null;

    const hide = () => {
      if (shown) shown.classList.remove("near");
      shown = null;
      tip.hidden = true;
    };

    const show = (mark) => {
      if (mark === shown) return;
      hide();
      shown = mark;
      mark.classList.add("near");
      const about = point(mark);
      tip.replaceChildren(make("b", about.name));
      for (const [label, value] of [...about.facts, ...(about.arch || [])]) {
        tip.append(make("div", `${label}: ${value}`));
      }
      tip.hidden = false;
      const frame = plot.getBoundingClientRect();
      const [x, y] = centre(mark);
      const left = Math.min(Math.max(x - frame.left - tip.offsetWidth / 2, 0), frame.width - tip.offsetWidth);
      const above = y - frame.top - tip.offsetHeight - 14;
      tip.style.left = `${left}px`;
      // Where there is no room above, below; a tip may leave the plot but not the window.
      tip.style.top = `${above + frame.top > 0 ? above : y - frame.top + 14}px`;
    };

    const select = (mark) => {
      if (selected) selected.setAttribute("aria-selected", "false");
      for (const other of all) other.setAttribute("tabindex", other === mark ? "0" : "-1");
      selected = mark;
      mark.setAttribute("aria-selected", "true");
      fill(panel, point(mark));
    };

    const choose = (mark) => {
      select(mark);
      for (const row of document.querySelectorAll(".targets .selected")) row.classList.remove("selected");
      const row = document.getElementById(point(mark).row);
      if (row) row.classList.add("selected");
    };

    // What lies under the pointer, or else is nearest to it: marks are smaller than fingers.
    const nearest = (event) => {
      let best = event.target.closest(".mark");
      if (best) return best;
      let least = REACH;
      for (const mark of all) {
        const [x, y] = centre(mark);
        const distance = Math.hypot(event.clientX - x, event.clientY - y);
        // Later marks lie on top.
        if (distance <= least) [best, least] = [mark, distance];
      }
      return best;
    };

    svg.addEventListener("pointermove", (event) => {
      const mark = nearest(event);
      if (mark) show(mark);
      else hide();
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("click", (event) => {
      const mark = nearest(event);
      if (mark) choose(mark);
    });
    svg.addEventListener("focusin", (event) => {
      const mark = event.target.closest(".mark");
      if (mark && mark.matches(":focus-visible")) show(mark);
    });
    svg.addEventListener("focusout", hide);
    svg.addEventListener("keydown", (event) => {
      const mark = event.target.closest(".mark");
      if (!mark) return;
      const index = ordered.indexOf(mark);
      const indices = {
        ArrowRight: index + 1, ArrowUp: index + 1, ArrowLeft: index - 1, ArrowDown: index - 1, Home: 0, End: ordered.length - 1,
      };
      if (event.key === "Enter" || event.key === " ") choose(mark);
      else if (event.key === "Escape") hide();
      else if (event.key in indices) {
        const next = ordered[Math.min(Math.max(indices[event.key], 0), ordered.length - 1)];
        for (const other of ordered) other.setAttribute("tabindex", other === next ? "0" : "-1");
        next.focus();
      } else return;
      event.preventDefault();
    });

    select(all.find((mark) => mark.classList.contains("target")) || all[all.length - 1]);
  };

  for (const plot of document.querySelectorAll(".plot")) start(plot);

  // A drawing that is asked for by its address may lie in a part that is closed.
  const open = () => {
    const found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const part = found && found.closest("details");
    if (part && !part.open) {
      part.open = true;
      found.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();
})();
