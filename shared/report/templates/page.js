"use strict";
// Without this script the page is whole; with it, claims and numbers can be filtered and figures enlarged.

const filters = document.querySelector(".filters");
const search = filters.querySelector("input");
const buttons = [...filters.querySelectorAll("button")];
const found = filters.querySelector(".found");
const claims = [...document.querySelectorAll(".claim")];
const blocks = [...document.querySelectorAll("#numbers > .block")];
const KEYS = ["verdict", "tier", "origin"];

// The values pressed for each key; a key without any lets everything pass.
function wanted() {
  const pressed = buttons.filter((button) => button.getAttribute("aria-pressed") === "true");
  return KEYS.map((key) => [key, pressed.filter((b) => b.dataset.key === key).map((b) => b.dataset.value)])
    .filter(([, values]) => values.length);
}

function passes(element, choices) {
  return choices.every(([key, values]) => values.includes(element.dataset[key] || ""));
}

function apply() {
  const choices = wanted();
  const words = search.value.trim().toLowerCase();
  const says = (element) => element.textContent.toLowerCase().includes(words);
  let shownClaims = 0, shownRows = 0, allRows = 0;
  for (const claim of claims) {
    claim.hidden = !(passes(claim, choices) && says(claim));
    shownClaims += !claim.hidden;
  }
  for (const block of blocks) {
    const rows = [...block.querySelectorAll("tbody tr")];
    const titled = words && [...block.querySelectorAll("h3, h4, figcaption")].some(says);
    let shown = 0;
    for (const row of rows) {
      const cells = [...row.querySelectorAll("td")];
      row.hidden = !((!choices.length || cells.some((cell) => passes(cell, choices))) && (titled || says(row)));
      shown += !row.hidden;
    }
    shownRows += shown;
    allRows += rows.length;
    const active = choices.length || words;
    block.hidden = active && !shown && !(titled && !choices.length);
    const details = block.querySelector("details");
    if (details && active && shown) details.open = true;
  }
  found.textContent = choices.length || words
    ? `${shownClaims} of ${claims.length} claims, ${shownRows} of ${allRows} rows` : "";
}

filters.hidden = false;
search.addEventListener("input", apply);
for (const button of buttons) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    apply();
  });
}

// The picture itself moves into the dialog and back, so that its identifiers stay unique.
const dialog = document.querySelector("dialog");
const frame = dialog.querySelector("div");
let home = null;
for (const link of document.querySelectorAll("a.enlarge")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    home = link;
    link.style.height = `${link.offsetHeight}px`;
    frame.append(link.firstElementChild);
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  home.append(frame.firstElementChild);
  home.style.height = "";
  home.focus();
});

// A link into closed details opens them.
function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", open);
if (location.hash) open();
