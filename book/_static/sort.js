// The tables of results sort by a click, or a key, on a heading: numbers by the first number in a cell, texts by letter.
const number = (text) => { const found = text.replace("−", "-").match(/[-+]?\d[\d,]*(\.\d+)?/); return found ? parseFloat(found[0].replace(/,/g, "")) : NaN; };

function order(body, column, down) {
  const cell = (row) => row.cells[column]?.innerText.trim() ?? "";
  const rows = [...body.rows];
  const numeric = rows.some((row) => /^[-+−×]?\d/.test(cell(row)));
  rows.sort((one, other) => {
    const [a, b] = [cell(one), cell(other)];
    if (!numeric) return a.localeCompare(b) * (down ? -1 : 1);
    const [x, y] = [number(a), number(b)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);  // what has no number stays below
    return (x - y) * (down ? -1 : 1);
  });
  body.append(...rows);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".cell_output table.table")) {
    const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.className = "sort";
      button.title = "sort by this column";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        order(table.tBodies[0], column, down);
      });
    });
  }
});

// Above a table of many rows stands a box that keeps the rows with all its words, and a button that saves these rows.
function saved(table) {
  const rows = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((row) => !row.hidden)];
  const quoted = (cell) => `"${cell.textContent.trim().replaceAll('"', '""')}"`;
  return rows.map((row) => [...row.cells].map(quoted).join(",")).join("\n") + "\n";
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.filtered")) {
    const bar = document.createElement("p");
    bar.innerHTML = '<label>Rows with <input type="search"></label> <a download="runs.csv" href="#">CSV</a>';
    const [box, link] = [bar.querySelector("input"), bar.querySelector("a")];
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/);
      for (const row of table.tBodies[0].rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    });
    link.addEventListener("click", () => { link.href = URL.createObjectURL(new Blob([saved(table)], { type: "text/csv" })); });
    table.before(bar);
  }
});
