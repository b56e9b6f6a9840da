for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const compare = (a, b, sign) => {
    const [x, y] = [a, b].map((text) => parseFloat(text.replaceAll(",", "")));
    if (isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y); // what has no number stays below
    return sign * (isNaN(x) ? a.localeCompare(b) : x - y);
  };
  const sort = (column) => {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("block"));
      rows.sort((a, b) => compare(key(a, column), key(b, column), up ? 1 : -1));
      body.append(...rows);
    }
  };
  heads.forEach((head, column) => {
    head.setAttribute("role", "button");
    head.tabIndex = 0;
    head.onclick = () => sort(column);
    head.onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(column); }
    };
  });
}
