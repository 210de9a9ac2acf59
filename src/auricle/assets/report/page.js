"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const STEP = 20; // answers shown at once, and how many more at a time
  const sounds = JSON.parse(one("#sounds").textContent);
  const form = one(".filters"), list = one(".cards"), cards = all(".card");
  const place = new Map(cards.map((card, index) => [card, index]));
  const words = new Map();
  let matching = [], limit = STEP, playing = null;

  const mode = () => (one("input[name=mode]:checked") || { value: one("[data-in-mode]")?.dataset.inMode }).value;

  // Answers: filters, order, how many are shown.
  const text = (card) => {
    if (!words.has(card)) words.set(card, card.textContent.toLowerCase());
    return words.get(card);
  };
  const orders = {
    error: (a, b) => b.dataset.error - a.dataset.error,
    errors: (a, b) => b.dataset.errors - a.dataset.errors,
    duration: (a, b) => b.dataset.duration - a.dataset.duration,
    row: () => 0,
  };
  function show() {
    const shown = new Set(matching.slice(0, limit));
    for (const card of cards) {
      card.hidden = !shown.has(card);
      if (card.hidden) one("audio", card)?.pause();
    }
    list.append(...shown);
    const more = one(".more"), left = matching.length - shown.size;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(STEP, left)} more of ${left}`;
    one(".none").hidden = matching.length > 0;
  }
  function filter() {
    const wanted = form.elements, search = wanted.search.value.trim().toLowerCase();
    const own = cards.filter((card) => card.dataset.inMode === mode());
    matching = own.filter(
      (card) =>
        (!wanted.row.value || card.dataset.row === wanted.row.value) &&
        (!wanted.flag.value || card.dataset.flags.split("|").includes(wanted.flag.value)) &&
        (wanted.above.value === "" || Number(card.dataset.error) > Number(wanted.above.value)) &&
        (!search || text(card).includes(search)),
    );
    const order = orders[wanted.order.value];
    matching.sort((a, b) => order(a, b) || place.get(a) - place.get(b));
    one(".found").textContent = `${matching.length} of ${own.length} listed answers`;
    limit = STEP;
    show();
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  one(".more").addEventListener("click", () => { limit += STEP; show(); });
  all("input[name=mode]").forEach((input) => input.addEventListener("change", filter));
  all("[data-show-row]").forEach((button) =>
    button.addEventListener("click", () => {
      form.reset();
      form.elements.row.value = button.dataset.showRow;
      setTimeout(() => { filter(); one("#answers").scrollIntoView(); });
    }),
  );

  // Players: a sound is handed to its element when it is first asked for; one plays at a time.
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  function load(player) {
    const audio = one("audio", player);
    if (!audio.src) audio.src = sounds[player.dataset.recording];
    return audio;
  }
  function follow(player) {
    const audio = one("audio", player), range = one("input", player), end = Number(range.max);
    range.value = audio.currentTime;
    one(".wave", player).style.setProperty("--played", `${Math.min(100, (100 * audio.currentTime) / end)}%`);
    one(".now", player).textContent = clock(audio.currentTime);
    if (!audio.paused) requestAnimationFrame(() => follow(player));
  }
  function toggle(player) {
    const audio = load(player);
    if (!audio.paused) return audio.pause();
    if (playing && playing !== audio) playing.pause();
    playing = audio;
    return audio.play();
  }
  for (const player of all(".player")) {
    const audio = one("audio", player);
    one(".play", player).addEventListener("click", () => toggle(player));
    one("input", player).addEventListener("input", (event) => { load(player).currentTime = event.target.value; });
    audio.addEventListener("play", () => { player.classList.add("playing"); follow(player); });
    for (const kind of ["pause", "ended"]) audio.addEventListener(kind, () => player.classList.remove("playing"));
    for (const kind of ["ended", "seeked"]) audio.addEventListener(kind, () => follow(player));
  }

  // Tables: a click on a heading sorts by it, another turns the order round.
  function sort(button) {
    const heading = button.parentElement, table = heading.closest("table"), body = table.tBodies[0];
    const column = [...heading.parentElement.children].indexOf(heading), numbers = button.dataset.sort !== "text";
    const first = numbers ? "descending" : "ascending";
    const order = heading.ariaSort === first ? (numbers ? "ascending" : "descending") : first;
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.children[column].dataset.value;
    const compare = (a, b) => (numbers ? Number(value(a)) - Number(value(b)) : value(a).localeCompare(value(b)));
    const known = (row) => value(row) !== undefined && value(row) !== "nan";
    const rows = [...body.rows];
    body.append(...rows.filter(known).sort((a, b) => sign * compare(a, b)), ...rows.filter((row) => !known(row)));
    all("[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    heading.ariaSort = order;
    table.classList.add("sorted");
  }
  all("button[data-sort]").forEach((button) => button.addEventListener("click", () => sort(button)));

  // Keys, links into folded rows, print.
  function step(by) {
    const shown = matching.slice(0, limit), at = shown.findIndex((card) => card.classList.contains("current"));
    const next = shown[Math.min(Math.max(at + by, 0), shown.length - 1)];
    if (!next) return;
    all(".current").forEach((card) => card.classList.remove("current"));
    next.classList.add("current");
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "center" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") { event.preventDefault(); form.elements.search.focus(); }
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
    if (event.key === "p") { const player = one(".card.current .player"); if (player) toggle(player); }
  });
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); folded.forEach((part) => { part.open = true; }); });
  addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));

  filter();
  unfold();
})();
