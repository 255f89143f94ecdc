// The page around the viewer: light and dark, the table of cases (sorted, searched), the search in the settings.
"use strict";

const byId = (id) => document.getElementById(id);

// Light and dark: the button says what it does, and nothing is stored outside the page.
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function showTheme() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
}

function startTheme() {
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  showTheme();
}

// The table: what a row is sorted by stands in `data-value` of its cells.
function rowsOf(table) {
  return [...table.tBodies[0].rows];
}

function valueOf(row, column) {
  return row.cells[column].dataset.value;
}

// Numbers by size, words by the alphabet with numbers in them by size; what is empty comes last in either direction.
function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const numbers = [Number(a), Number(b)];
  if (numbers.some(Number.isNaN)) return sign * a.localeCompare(b, "en", { numeric: true });
  return sign * (numbers[0] - numbers[1]);
}

// `order` is a list of [key, sign]: those after the first decide where it leaves a tie.
function sortRows(table, order) {
  const heads = [...table.tHead.rows[0].cells];
  const columns = order
    .map(([key, sign]) => [heads.findIndex((head) => head.dataset.key === key), sign])
    .filter(([column]) => column >= 0);
  const sorted = rowsOf(table).sort((a, b) => {
    for (const [column, sign] of columns) {
      const found = compare(valueOf(a, column), valueOf(b, column), sign);
      if (found) return found;
    }
    return Number(a.dataset.case) - Number(b.dataset.case);
  });
  table.tBodies[0].append(...sorted);
  for (const head of heads) head.removeAttribute("aria-sort");
  if (columns.length) heads[columns[0][0]].setAttribute("aria-sort", columns[0][1] > 0 ? "ascending" : "descending");
}

const PRESETS = {
  worst: [["dice_worst", 1], ["dice", 1], ["triage", -1]], // of several structures the worst one; else the only one
  uncertain: [["triage", -1]],
};

function press(button) {
  for (const other of document.querySelectorAll("[data-preset]")) {
    other.setAttribute("aria-pressed", String(other === button));
  }
}

function startSorting(table) {
  for (const button of document.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => {
      sortRows(table, PRESETS[button.dataset.preset]);
      press(button);
    });
  }
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      sortRows(table, [[head.dataset.key, head.getAttribute("aria-sort") === "ascending" ? -1 : 1]]);
      press(null);
    });
  }
  document.querySelector("[data-preset]").click(); // the page is written in this order; this says so
}

// Rows stay that hold every word; returns how many.
function search(rows, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const content = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
  }
  return rows.filter((row) => !row.hidden).length;
}

function startSearch(table) {
  const show = () => {
    const rows = rowsOf(table);
    byId("count").textContent = `${search(rows, byId("search").value)} of ${rows.length} cases`;
  };
  byId("search").addEventListener("input", show);
  show();
}

function startSettings() {
  const input = byId("search-settings");
  if (input) input.addEventListener("input", () => search(rowsOf(byId("all-settings").querySelector("table")), input.value));
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startSettings();
  const table = byId("case-table");
  if (!table) return;
  startSearch(table);
  startSorting(table);
  startViewer(table);
});
