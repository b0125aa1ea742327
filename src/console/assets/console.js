// The console's script: event streams and small help with forms. Every page works without it, but
// for what changes by itself.
"use strict";

// Parts of a page that change by themselves: <div data-live="/path of their event stream">. Each
// event is a list of parts: an id with its new inside, or with its rows, of which only those come
// that are new. What somebody types in stays as it is.
let ahead = 0; // by how much the service's clock is ahead of ours

function length(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// Lengths of time count by themselves: <time data-since="…">, <time data-until="…">.
function count() {
  const now = (Date.now() + ahead) / 1000;
  for (const time of document.querySelectorAll("[data-since],[data-until]")) {
    const { since, until } = time.dataset;
    const text = length(since ? now - since : until - now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// What it is without the lengths of time that were written into it.
function bare(element) {
  const copy = element.cloneNode(true);
  for (const time of copy.querySelectorAll("[data-since],[data-until]")) time.textContent = "";
  return copy.innerHTML;
}

function made(tag, html) {
  const element = document.createElement(tag);
  element.innerHTML = html;
  return element;
}

// Puts something new in the place of what has the focus, and keeps that.
function keeping(part, change) {
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  if (active && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName)) return;
  change();
  if (active && active.value && !document.contains(active)) {
    const same = part.querySelector(`button[value="${CSS.escape(active.value)}"]`);
    if (same) same.focus();
  }
}

function show({ id, html, keys, rows }) {
  const part = document.getElementById(id);
  if (!part) return;
  if (html !== undefined) {
    if (bare(part) !== bare(made("div", html))) keeping(part, () => { part.innerHTML = html; });
    return;
  }
  keeping(part, () => {
    const wanted = new Set(keys.map((key) => `${id}-${key}`));
    for (const row of [...part.children]) if (!wanted.has(row.id)) row.remove();
    let before = null;
    for (const key of keys) {
      let row = document.getElementById(`${id}-${key}`);
      if (rows[key] !== undefined) {
        const fresh = made("tbody", rows[key]).firstElementChild;
        if (row && row.innerHTML && bare(row) === bare(fresh)) { before = row; continue; }
        if (row) row.replaceWith(fresh);
        row = fresh;
      }
      if (!row) continue;
      const place = before ? before.nextElementSibling : part.firstElementChild;
      if (row !== place) part.insertBefore(row, place);
      before = row;
    }
  });
}

for (const live of document.querySelectorAll("[data-live]")) {
  const lost = document.getElementById("lost");
  const tell = (isLost) => { if (lost && lost.hidden === isLost) lost.hidden = !isLost; };
  const follow = () => {
    const events = new EventSource(live.dataset.live);
    events.onopen = () => tell(false);
    events.onerror = () => {
      tell(true);
      // It was refused: the service has no place, or wants a sign-in. Else it comes back by itself.
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
    };
    events.addEventListener("now", (event) => { ahead = Number(event.data) - Date.now(); });
    events.addEventListener("part", (event) => {
      for (const part of [].concat(JSON.parse(event.data))) show(part);
      count();
    });
    // A newer page of the same account took the place. This one comes back when it is looked at.
    events.addEventListener("moved", () => {
      events.close();
      tell(true);
      if (document.hidden) document.addEventListener("visibilitychange", follow, { once: true });
      else setTimeout(follow, 30000);
    });
    events.addEventListener("over", () => { events.close(); location.reload(); });
  };
  follow();
  setInterval(count, 1000);
}

// Ask once more before what can't be taken back: <form data-confirm="…">.
document.addEventListener("submit", (event) => {
  const asked = event.target.dataset.confirm;
  if (asked && !window.confirm(asked)) event.preventDefault();
});

// Blanks the screen at once: a button with data-blank, or Shift three times; again, or a click,
// brings it back.
const title = document.title;
let shifts = [];
function blank() {
  const isBlank = document.documentElement.toggleAttribute("data-blank");
  document.title = isBlank ? "\u2013" : title;
}
if (document.querySelector("[data-blank]")) {
  document.addEventListener("keydown", (event) => {
    shifts = event.key === "Shift" && !event.repeat ? [...shifts, event.timeStamp].slice(-3) : [];
    if (shifts.length === 3 && shifts[2] - shifts[0] < 1500) { shifts = []; blank(); }
  });
  document.addEventListener("click", (event) => {
    const isBlank = document.documentElement.hasAttribute("data-blank");
    if (isBlank || event.target.closest("button[data-blank]")) { event.preventDefault(); blank(); }
  });
}
// A file that is too large is told before it is sent: <input type="file" data-most="bytes" data-wrong="…">.
document.addEventListener("change", (event) => {
  const { most, wrong } = event.target.dataset || {};
  if (!most) return;
  const file = event.target.files[0];
  event.target.setCustomValidity(file && file.size > Number(most) ? wrong : "");
  event.target.reportValidity();
});

// A page that waits for something looks again: <p data-again="seconds">, unless somebody is typing.
for (const waits of document.querySelectorAll("[data-again]")) {
  let typed = false;
  document.addEventListener("input", () => { typed = true; });
  setTimeout(() => { if (!typed) location.reload(); }, Number(waits.dataset.again) * 1000);
}
