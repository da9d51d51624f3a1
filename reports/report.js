// Only switches what the page already holds: without it everything stays readable. No network, no HTML from text.
(() => {
  "use strict";
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  root.classList.add("js");

  // ------------------------------------------------------------ light and dark

  const themeButton = byId("theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const label = () => { themeButton.textContent = isDark() ? "Light" : "Dark"; };
  const remembered = (write) => {
    try { // storage is refused to some file:// pages
      if (write) localStorage.setItem("lora-doctor-theme", write);
      return localStorage.getItem("lora-doctor-theme");
    } catch { return null; }
  };
  const stored = remembered();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered(root.dataset.theme);
    label();
  });
  systemDark.addEventListener("change", label);
  themeButton.hidden = false;
  label();

  // ------------------------------------------------------------ the matrix

  const AXES = ["weight", "environment", "framing"];
  const values = { weight: [], environment: [], framing: [] };
  if (!byId("values")) return; // the pages of an audit and a comparison have no matrix
  for (const item of byId("values").children) {
    values[item.dataset.axis].push({ value: item.dataset.value, text: item.textContent, note: item.dataset.note });
  }
  const place = (at) => JSON.stringify(AXES.map((axis) => at[axis]));
  const squares = new Map();
  for (const square of document.querySelectorAll(".square")) squares.set(place(square.dataset), square);
  if (!squares.size) return;

  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const heading = (entry, scope) => {
    const th = make("th", `${entry.text} `, { scope });
    if (entry.note) th.append(make("small", entry.note));
    return th;
  };

  const form = byId("axes");
  const { rows, columns, page } = form.elements;

  const fill = (select, axis, all) => {
    select.replaceChildren();
    if (all) select.append(make("option", all, { value: "" }));
    for (const entry of values[axis]) select.append(make("option", entry.text, { value: entry.value }));
  };

  const table = (third, entry) => {
    const box = make("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Matrix, ${entry.text}` });
    const grid = make("table", "", { class: "matrix" });
    grid.append(make("caption", third === "weight" ? `weight ${entry.text}` : entry.text));
    const head = make("tr");
    head.append(make("th", `${rows.value} \\ ${columns.value}`, { scope: "col", class: "corner" }));
    for (const column of values[columns.value]) head.append(heading(column, "col"));
    const body = make("tbody");
    for (const row of values[rows.value]) {
      const line = make("tr");
      line.append(heading(row, "row"));
      for (const column of values[columns.value]) {
        const cell = make("td");
        const at = { [third]: entry.value, [rows.value]: row.value, [columns.value]: column.value };
        const square = squares.get(place(at));
        if (square) cell.append(square);
        line.append(cell);
      }
      body.append(line);
    }
    const thead = make("thead");
    thead.append(head);
    grid.append(thead, body);
    box.append(grid);
    return box;
  };

  const draw = () => {
    const third = AXES.find((axis) => axis !== rows.value && axis !== columns.value);
    if (form.dataset.third !== third) {
      form.dataset.third = third;
      form.querySelector(".third").textContent = third[0].toUpperCase() + third.slice(1);
      fill(page, third, "all, one under another");
    }
    const shown = values[third].filter((entry) => !page.value || entry.value === page.value);
    byId("tables").replaceChildren(...shown.map((entry) => table(third, entry)));
    startAtShip();
    roam(byId("tables").querySelector(".square"));
  };

  // a narrow screen shows few columns: the first of them are those the LoRA is meant for
  const startAtShip = () => {
    for (const box of byId("tables").querySelectorAll(".scroll")) {
      const heads = [...box.querySelectorAll("thead th")];
      const ship = heads.find((th) => th.querySelector("small")?.textContent === "ship");
      if (ship && box.scrollWidth > box.clientWidth) box.scrollLeft = ship.offsetLeft - heads[0].offsetWidth;
    }
  };

  let before = { rows: rows.value, columns: columns.value };
  form.addEventListener("change", (event) => {
    // choosing the axis that the other selector has swaps the two
    if (event.target === rows && rows.value === columns.value) columns.value = before.rows;
    if (event.target === columns && rows.value === columns.value) rows.value = before.columns;
    before = { rows: rows.value, columns: columns.value };
    draw();
  });

  // ------------------------------------------------------------ moving about by keyboard

  let current = null;
  const roam = (square) => {
    if (current) current.tabIndex = -1;
    current = square;
    if (current) current.tabIndex = 0;
  };
  for (const square of squares.values()) {
    square.tabIndex = -1;
    square.setAttribute("role", "button");
    const { weight, environment, framing } = square.dataset;
    square.setAttribute("aria-label", `${environment}, ${framing}, weight ${weight}: identity ${square.querySelector(".score").textContent.trim()}. Enlarge`);
  }

  const neighbour = (square, key) => {
    const cell = square.closest("td");
    const line = cell.parentElement;
    if (key === "ArrowRight") return cell.nextElementSibling;
    if (key === "ArrowLeft") return cell.previousElementSibling;
    if (key === "Home") return line.children[1];
    if (key === "End") return line.lastElementChild;
    const lines = [...byId("tables").querySelectorAll("tbody tr")];
    const other = lines[lines.indexOf(line) + (key === "ArrowDown" ? 1 : -1)];
    return other && other.children[cell.cellIndex];
  };
  byId("tables").addEventListener("keydown", (event) => {
    const square = event.target.closest(".square");
    if (!square) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(square);
    } else if (/^(Arrow|Home$|End$)/.test(event.key)) {
      event.preventDefault();
      const cell = neighbour(square, event.key);
      const next = cell && cell.querySelector(".square");
      if (next) { roam(next); next.focus(); }
    }
  });
  byId("tables").addEventListener("click", (event) => {
    const square = event.target.closest(".square");
    if (square) open(square);
  });

  // ------------------------------------------------------------ one square enlarged, leafed through by axis

  const viewer = byId("viewer");
  const stage = viewer.querySelector(".stage");
  const slider = viewer.querySelector("[name=weight]");
  const choose = { environment: viewer.querySelector("[name=environment]"), framing: viewer.querySelector("[name=framing]") };
  slider.max = values.weight.length - 1;
  fill(choose.environment, "environment");
  fill(choose.framing, "framing");

  const show = () => {
    const at = { weight: values.weight[slider.value].value, environment: choose.environment.value, framing: choose.framing.value };
    const square = squares.get(place(at));
    const words = [choose.environment, choose.framing].map((select) => select.selectedOptions[0].text);
    viewer.querySelector("output").textContent = at.weight;
    slider.setAttribute("aria-valuetext", at.weight);
    byId("viewer-title").textContent = `${words.join(", ")}, weight ${at.weight}: ${square ? `identity ${square.querySelector("b").textContent}` : "no picture"}`;
    stage.replaceChildren(...(square ? [...square.querySelectorAll("figure")].map((figure) => figure.cloneNode(true)) : []));
  };
  const open = (square) => {
    roam(square);
    slider.value = values.weight.findIndex((entry) => entry.value === square.dataset.weight);
    choose.environment.value = square.dataset.environment;
    choose.framing.value = square.dataset.framing;
    show();
    viewer.showModal();
    slider.focus();
  };
  viewer.addEventListener("input", show);
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => { if (current) current.focus(); });

  // a link from a finding leads to a square that the present view may not show
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#square-"]');
    if (!link) return;
    const square = [...squares.values()].find((one) => one.id === link.hash.slice(1));
    if (!square) return;
    event.preventDefault();
    open(square);
  });

  form.hidden = false;
  draw();
})();
