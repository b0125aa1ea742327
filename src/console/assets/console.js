// The console's script: event streams and small help with forms. Every page works without it, but
// for what changes by itself.
"use strict";

// A part of a page that changes by itself: <div data-live="/path of its event stream">. Each event
// carries the name of a part (its id) and its new inside.
for (const live of document.querySelectorAll("[data-live]")) {
  const lost = document.getElementById("lost");
  const events = new EventSource(live.dataset.live);
  events.onopen = () => { if (lost) lost.hidden = true; };
  events.onerror = () => { if (lost) lost.hidden = false; };
  events.addEventListener("part", (event) => {
    const { id, html } = JSON.parse(event.data);
    const part = document.getElementById(id);
    if (part && !part.contains(document.activeElement)) part.innerHTML = html;
  });
}

// Ask once more before what can't be taken back: <form data-confirm="…">.
document.addEventListener("submit", (event) => {
  const asked = event.target.dataset.confirm;
  if (asked && !window.confirm(asked)) event.preventDefault();
});

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
