// The queue as it is now: asks for its figures every two seconds while somebody looks, and draws them.
(() => {
  "use strict";
  const live = document.getElementById("live");
  if (!live) return;
  const PERIOD = 2000, KEPT = 150, ASKED_MAX = 450;
  const part = (name) => document.getElementById(`live-${name}`);
  const state = part("state"), reload = state.textContent;
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const rate = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });
  const samples = [];
  let asked = 0, timer = 0;

  const show = (name, value) => { part(name).textContent = number.format(value); };

  // The same round numbers as the other charts have: 2, 4, 6, 8, 10, 20, …
  const roundUp = (value) => {
    for (let unit = 1; ; unit *= 10) {
      for (const step of [2, 4, 6, 8, 10]) if (unit * step >= value) return unit * step;
    }
  };

  const drawBar = (now) => {
    const all = Math.max(now.messages, 1);
    let left = 0;
    for (const [name, value] of [["in-hand", now.in_hand], ["waiting", now.waiting], ["held", now.held]]) {
      const width = Math.round(value * 1000 / all);
      const bar = part(`bar-${name}`);
      bar.setAttribute("x", left);
      bar.setAttribute("width", width);
      left += width;
    }
  };

  const drawLine = () => {
    const top = roundUp(Math.max(...samples.map((sample) => sample.messages)));
    // A minute at first, and the more the longer it is looked at.
    const shown = Math.max(samples.length, 30), step = 1000 / (shown - 1), first = shown - samples.length;
    const points = samples.map((sample, place) =>
      `${((first + place) * step).toFixed(1)},${(200 - sample.messages * 200 / top).toFixed(1)}`);
    part("line").setAttribute("points", points.join(" "));
    show("top", top);
    part("chart").hidden = false;
  };

  const tellRates = () => {
    const now = samples[samples.length - 1], before = samples[Math.max(0, samples.length - 6)];
    const seconds = (now.at - before.at) / 1000;
    for (const name of ["delivered", "deferred", "failed"]) {
      const count = now[name] - before[name];
      // A queue that was started anew counts from nothing.
      part(name).textContent = seconds > 0 && count >= 0 ? rate.format(count / seconds) : "–";
    }
  };

  const ask = async () => {
    if (document.hidden) return;
    if (++asked > ASKED_MAX) {
      clearInterval(timer);
      state.textContent = live.dataset.stopped;
      return;
    }
    try {
      const answer = await fetch(live.dataset.src, { headers: { accept: "application/json" }, redirect: "error" });
      if (!answer.ok) throw new Error(answer.statusText);
      const now = await answer.json();
      now.at = performance.now();
      now.waiting = Math.max(0, now.messages - now.in_hand - now.held);
      samples.push(now);
      if (samples.length > KEPT) samples.shift();
      for (const name of ["messages", "in_hand", "waiting", "held"]) show(name, now[name]);
      drawBar(now);
      drawLine();
      tellRates();
      state.textContent = reload;
    } catch {
      state.textContent = live.dataset.silent;
    }
  };

  timer = setInterval(ask, PERIOD);
  ask();
})();
