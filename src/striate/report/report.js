"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  /* ---- sortable tables ---- */

  const keyOf = (cell) => {
    const value = cell.dataset.value;
    if (value === undefined) return cell.textContent.trim().toLowerCase();
    return value === "" ? null : Number(value);
  };

  const sortBy = (table, header, column) => {
    const falling = header.getAttribute("aria-sort") === "ascending"
      || (header.getAttribute("aria-sort") === "none" && header.dataset.first === "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => !row.dataset.last);
    const last = [...body.rows].filter((row) => row.dataset.last); // a learner that was not judged
    const sign = falling ? -1 : 1;
    rows.sort((a, b) => {
      const [x, y] = [keyOf(a.cells[column]), keyOf(b.cells[column])];
      if (x === null || y === null) return (x === null) - (y === null); // nothing measured: last
      return sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
    });
    for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...rows, ...last);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.querySelectorAll("th[aria-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sortBy(table, header, header.cellIndex));
    }
  }

  /* ---- copy buttons ---- */

  for (const button of document.querySelectorAll("button[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(source);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  /* ---- where the reader is ---- */

  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  if (links.size && "IntersectionObserver" in window) {
    const seen = new Set();
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) seen[entry.isIntersecting ? "add" : "delete"](entry.target.id);
      const current = [...links.keys()].find((id) => seen.has(id));
      if (!current) return;
      for (const [id, link] of links) {
        if (id === current) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }, { rootMargin: "-12% 0px -60% 0px" });
    for (const id of links.keys()) {
      const section = document.getElementById(id);
      if (section) watcher.observe(section);
    }
  }

  /* ---- the pictures behind a cell of a confusion matrix ---- */

  const block = document.getElementById("cells");
  if (!block) return;
  const { classes, sheet, names, learners } = JSON.parse(block.textContent);
  const dialog = document.getElementById("pictures");
  const [title, note, grid, mirror] = ["title", "note", "grid", "mirror"].map((part) => dialog.querySelector(`.${part}`));
  const count = new Intl.NumberFormat("en-US").format;
  const pictures = (n) => `${count(n)} ${n === 1 ? "picture" : "pictures"}`;
  const share = (tenths) => (tenths >= 1000 ? "100%" : tenths < 1 ? "<0.1%" : `${(tenths / 10).toFixed(1)}%`);
  let open = null; // [learner, true, predicted] of the dialog

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const thumbnail = (tile, label) => {
    const made = element("span", "thumb");
    const zoom = sheet.zoom;
    const style = made.style;
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", label);
    style.width = `${sheet.width * zoom}px`;
    style.height = `${sheet.height * zoom}px`;
    style.backgroundSize = `${sheet.columns * sheet.pitchX * zoom}px ${sheet.rows * sheet.pitchY * zoom}px`;
    style.backgroundPosition = `${-(tile % sheet.columns) * sheet.pitchX * zoom}px ${-Math.floor(tile / sheet.columns) * sheet.pitchY * zoom}px`;
    return made;
  };

  const cellOf = (learner, truth, called) => {
    const cells = learners[learner].cells;
    const key = `${truth},${called}`;
    return Object.hasOwn(cells, key) ? cells[key] : null;
  };

  const show = (learner, truth, called) => {
    const cell = cellOf(learner, truth, called);
    if (!cell) return;
    open = [learner, truth, called];
    const [total, tiles, given, deserved] = cell;
    const right = truth === called;
    title.replaceChildren(
      element("span", "of", `${learners[learner].name}: `),
      ...(right
        ? [element("strong", "", classes[truth]), " recognised"]
        : [element("strong", "", classes[truth]), " taken for ", element("strong", "", classes[called])]),
    );
    const order = right ? "least sure first" : "surest mistakes first";
    note.textContent = tiles.length === 0
      ? `${pictures(total)}, left out to keep this file small.`
      : tiles.length < total
        ? `${count(tiles.length)} of ${count(total)} shown, ${order}.`
        : total === 1 ? "The only one." : `All ${count(total)} shown, ${order}.`;
    grid.replaceChildren(...tiles.map((tile, i) => {
      const figure = element("figure");
      const caption = element("figcaption");
      const answers = element("span", "answers");
      answers.append(element("b", "", share(given[i])), ` for ${classes[called]}`);
      if (!right) answers.append(element("br"), `${share(deserved[i])} for ${classes[truth]}`);
      const name = element("span", "file", names[tile]);
      name.title = names[tile];
      caption.append(answers, name);
      figure.append(thumbnail(tile, names[tile]), caption);
      return figure;
    }));
    const back = right ? null : cellOf(learner, called, truth);
    mirror.hidden = !back;
    mirror.textContent = back ? `The other way round: ${classes[called]} taken for ${classes[truth]} (${count(back[0])})` : "";
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    grid.scrollTop = 0;
  };

  mirror.addEventListener("click", () => show(open[0], open[2], open[1]));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });

  for (const button of document.querySelectorAll("button.pair")) {
    const [learner, truth, called] = button.dataset.cell.split(",").map(Number);
    button.addEventListener("click", () => show(learner, truth, called));
  }

  const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  for (const table of document.querySelectorAll("table.matrix")) {
    const learner = Number(table.dataset.learner);
    const readout = document.getElementById(table.dataset.readout);
    const idle = readout.textContent;
    const body = table.tBodies[0];
    const buttonAt = (row, column) => body.rows[row]?.cells[column + 1]?.querySelector("button");
    const placeOf = (button) => {
      const cell = button.parentElement;
      return [cell.parentElement.sectionRowIndex, cell.cellIndex - 1];
    };
    const say = (row, column) => {
      const cell = cellOf(learner, row, column);
      const total = classes.reduce((sum, _, j) => sum + (cellOf(learner, row, j)?.[0] ?? 0), 0);
      const n = cell ? cell[0] : 0;
      const what = row === column ? "recognised" : `taken for ${classes[column]}`;
      return `${classes[row]} ${what}: ${count(n)} of ${pictures(total)}${total ? ` (${(100 * n / total).toFixed(1)}%)` : ""}`;
    };
    const buttons = [...body.querySelectorAll("button")];
    for (const button of buttons) {
      button.tabIndex = -1;
      const [row, column] = placeOf(button);
      button.setAttribute("aria-label", say(row, column));
      button.setAttribute("aria-haspopup", "dialog");
    }
    const entry = buttons[0];
    if (entry) entry.tabIndex = 0;

    body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) show(learner, ...placeOf(button));
    });
    body.addEventListener("keydown", (event) => {
      const button = event.target.closest("button");
      const step = arrows[event.key];
      if (!button || !step) return;
      event.preventDefault();
      let [row, column] = placeOf(button);
      for (;;) { // the next cell with pictures in that direction
        row += step[0];
        column += step[1];
        if (row < 0 || column < 0 || row >= classes.length || column >= classes.length) return;
        const next = buttonAt(row, column);
        if (next) return next.focus();
      }
    });
    let lit = [];
    const light = (row, column) => {
      for (const header of lit) header.classList.remove("lit");
      lit = row < 0 ? [] : [body.rows[row].cells[0], table.tHead.rows[0].cells[column + 1]];
      for (const header of lit) header.classList.add("lit");
      readout.textContent = row < 0 ? idle : say(row, column);
    };
    const point = (event) => {
      const cell = event.target.closest("td");
      if (cell) light(cell.parentElement.sectionRowIndex, cell.cellIndex - 1);
    };
    body.addEventListener("mouseover", point);
    body.addEventListener("focusin", (event) => {
      point(event);
      for (const button of buttons) if (button.tabIndex === 0) button.tabIndex = -1;
      event.target.tabIndex = 0;
    });
    table.addEventListener("mouseleave", () => light(-1, -1));
    body.addEventListener("focusout", () => light(-1, -1));
  }
})();
