// Tables: rows of texts and elements, never of markup.

/** Replace the rows of a table body; say `none` where there are none. */
export function fillRows(body, rows, none) {
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) row.insertCell().append(cell ?? "");
    return row;
  }));
  if (rows.length) return;
  const cell = body.insertRow().insertCell();
  cell.colSpan = body.closest("table").querySelectorAll("th").length;
  cell.className = "hint";
  cell.textContent = none;
}

/** A small button that cannot be pressed again while it works. */
export function button(text, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", async () => {
    element.disabled = true;
    try { await act(); } finally { element.disabled = false; }
  });
  return element;
}

export function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
}

export function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}
