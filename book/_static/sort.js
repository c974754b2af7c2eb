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
