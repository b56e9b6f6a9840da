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
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.onclick = () => sort(column);
    head.append(button);
  });
}

const save = (name, blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
};
const drawing = (figure) => { // the chart as a file of its own, with the colours of this page
  const copy = figure.querySelector("svg").cloneNode(true);
  const style = getComputedStyle(document.documentElement);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("style", "background: var(--paper); font-family: sans-serif");
  const text = new XMLSerializer().serializeToString(copy);
  return text.replace(/var\((--\w+)\)/g, (_, name) => style.getPropertyValue(name).trim());
};
const saved = {
  SVG: (figure) => save(figure.dataset.name + ".svg", new Blob([drawing(figure)], { type: "image/svg+xml" })),
  PNG: (figure) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [3 * image.width, 3 * image.height];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(figure.dataset.name + ".png", blob));
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(drawing(figure));
  },
};
for (const figure of document.querySelectorAll("figure.chart")) {
  const menu = document.createElement("figcaption");
  for (const [kind, action] of Object.entries(saved)) {
    const button = document.createElement("button");
    button.textContent = kind;
    button.setAttribute("aria-label", "Save this chart as " + kind);
    button.onclick = () => action(figure);
    menu.append(button);
  }
  figure.append(menu);
}
for (const table of document.querySelectorAll("table.sortable")) { // on a narrow page each row is a card
  const names = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
  if (names.length < 4 || table.classList.contains("results")) continue;
  table.classList.add("cards");
  table.setAttribute("role", "table"); // which a table that is drawn as blocks would lose
  for (const body of table.tBodies) body.setAttribute("role", "rowgroup");
  for (const row of table.querySelectorAll("tbody tr")) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, place) => {
      cell.dataset.name = names[place];
      cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
    });
  }
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
