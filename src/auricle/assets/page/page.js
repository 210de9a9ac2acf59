// Live voice over the server's WebSocket in the events of OpenAI's Realtime API (sound as bare pcm16), and what gradio's markup lacks.
(() => {
  "use strict";
  const RATE = 24000; // samples a second on the wire, where the browser can resample; else the microphone's own
  const KEPT_S = 60; // of sound that a picture may still ask for
  const find = id => document.getElementById(id);
  let socket = null, microphone = null, frames = [], sent = 0, rate = RATE, spokenAt = 0;
  let turns = new Map(), answer = null, speaking = false;

  // The conversation.

  function tell(message, alarm) {
    const line = document.createElement("p");
    line.className = alarm ? "alarm" : "calm";
    line.textContent = message;
    find("voice-status").replaceChildren(line);
  }

  function addLine(who) {
    const line = document.createElement("p"), text = document.createElement("span");
    line.className = who === "You" ? "you" : "it";
    const name = document.createElement("b");
    name.textContent = who + ": ";
    line.append(name, text);
    find("voice-log").append(line);
    return text;
  }

  function write(text, words) {
    text.textContent = words;
    const log = find("voice-log");
    log.scrollTop = log.scrollHeight;
  }

  function turn(id) {
    if (!turns.has(id)) {
      turns.set(id, addLine("You"));
      write(turns.get(id), "…");
    }
    return turns.get(id);
  }

  const handlers = {
    "input_audio_buffer.speech_started": event => {
      spokenAt = event.audio_start_ms;
      speaking = true;
      turn(event.item_id);
      tell("Listening …");
    },
    "input_audio_buffer.speech_stopped": event => {
      speaking = false;
      tell("Thinking …");
      show(spokenAt, event.audio_end_ms);
    },
    "conversation.item.input_audio_transcription.delta": event => {
      const text = turn(event.item_id);
      write(text, (text.textContent === "…" ? "" : text.textContent) + event.delta);
    },
    "conversation.item.input_audio_transcription.completed": event =>
      write(turn(event.item_id), event.transcript || "(nothing understood)"),
    "response.created": () => {
      answer = addLine("Auricle");
      find("voice-stop").disabled = false;
    },
    "response.output_text.delta": event => {
      answer = answer || addLine("Auricle");
      write(answer, answer.textContent + event.delta);
    },
    "conversation.item.input_audio_transcription.failed": event => write(turn(event.item_id), "(not understood)"),
    "response.done": event => {
      const how = event.response.status;
      if (answer && how === "cancelled") write(answer, answer.textContent + " (interrupted)");
      answer = null;
      find("voice-stop").disabled = true;
      if (how === "failed") tell(event.response.status_details.error.message || "The answer failed.", true);
      else if (how !== "cancelled" || !speaking) tell(microphone ? "Speak." : "Done.");
    },
    error: event => {
      if (event.error.code !== "response_cancel_not_active") tell(event.error.message, true);
    },
  };

  function connect() {
    if (socket && socket.readyState <= WebSocket.OPEN) return socket.ready;
    const url = new URL("page/v1/realtime", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const opened = new WebSocket(url);
    socket = opened;
    sent = 0;
    frames = [];
    opened.onmessage = message => {
      const event = JSON.parse(message.data);
      if (opened === socket && handlers[event.type]) handlers[event.type](event);
    };
    opened.ready = new Promise((resolve, reject) => {
      opened.onopen = resolve;
      opened.onclose = event => {
        reject(new Error(event.reason || "The server cannot be reached, or is busy. Try again in a moment."));
        if (opened !== socket) return;
        socket = answer = null;
        speaking = false;
        stopMicrophone();
        find("voice-stop").disabled = true;
        tell(event.reason || "The connection ended.", true);
      };
    });
    return opened.ready;
  }

  const send = event => socket.send(JSON.stringify(event));

  async function say(text) {
    try {
      await connect();
    } catch (error) {
      return tell(error.message, true);
    }
    if (answer) send({ type: "response.cancel" });
    write(addLine("You"), text);
    tell("Thinking …");
    send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
    send({ type: "response.create" });
  }

  function clear() {
    const left = socket;
    socket = answer = null;
    if (left) left.close();
    stopMicrophone();
    turns = new Map();
    find("voice-stop").disabled = true;
    find("voice-log").replaceChildren();
    find("voice-heard").replaceChildren();
    tell("Cleared.");
  }

  // The microphone.

  async function startMicrophone() {
    if (!navigator.mediaDevices) return tell("A browser gives the microphone only to https or localhost.", true);
    const button = find("voice-mic");
    button.disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
      microphone = { stream, ...listenTo(stream) };
      rate = microphone.context.sampleRate;
      await connect();
      const input = { transcription: {}, format: { type: "audio/pcm", rate } };
      send({ type: "session.update", session: { type: "realtime", audio: { input } } });
      await microphone.context.audioWorklet.addModule(new URL("page/worklet", document.baseURI));
      const node = new AudioWorkletNode(microphone.context, "frames");
      node.port.onmessage = ({ data }) => sendFrame(data);
      microphone.source.connect(node);
      button.setAttribute("aria-pressed", "true");
      button.textContent = "Stop microphone";
      tell("Speak.");
    } catch (error) {
      stopMicrophone();
      tell(error.name === "NotAllowedError" ? "The browser does not allow the microphone here." : error.message, true);
    } finally {
      button.disabled = false;
    }
  }

  function stopMicrophone() {
    const button = find("voice-mic");
    button.setAttribute("aria-pressed", "false");
    button.textContent = "Start microphone";
    find("voice-level").style.width = "0";
    if (!microphone) return;
    microphone.stream.getTracks().forEach(track => track.stop());
    microphone.context.close();
    microphone = null;
    tell("The microphone is off.");
  }

  function listenTo(stream) {
    let context = new AudioContext({ sampleRate: RATE });
    try {
      return { context, source: context.createMediaStreamSource(stream) };
    } catch (error) { // Firefox does not resample a microphone
      context.close();
      context = new AudioContext();
      return { context, source: context.createMediaStreamSource(stream) };
    }
  }

  function sendFrame(data) {
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    const samples = Int16Array.from(data, sample => Math.max(-1, Math.min(1, sample)) * 32767);
    socket.send(samples);
    frames.push({ start: sent, samples });
    sent += samples.length;
    while (frames[0].start < sent - KEPT_S * rate) frames.shift();
    const peak = data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    find("voice-level").style.width = `${Math.min(100, Math.round(Math.sqrt(peak) * 100))}%`;
  }

  async function show(from, to) {
    const first = Math.max(0, (from / 1000) * rate), last = Math.min((to / 1000) * rate, first + 29.9 * rate);
    const heard = frames.filter(frame => frame.start + frame.samples.length > first && frame.start < last);
    if (!heard.length) return;
    const pictured = await fetch(new URL(`page/picture?rate=${rate}`, document.baseURI), {
      method: "POST",
      body: new Blob(heard.map(frame => frame.samples)),
    });
    if (pictured.ok) find("voice-heard").innerHTML = await pictured.text();
  }

  // Controls.

  document.addEventListener("click", event => {
    const id = event.target.id;
    if (id === "voice-mic") microphone ? stopMicrophone() : startMicrophone();
    if (id === "voice-stop" && socket) send({ type: "response.cancel" });
    if (id === "voice-clear") clear();
  });
  document.addEventListener("focusin", event => {
    if (event.target.role === "combobox") event.target.select(); // so that typing searches
  });
  document.addEventListener("keydown", event => { // gradio gives radios names of their own: arrows would do nothing
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || event.target.type !== "radio") return;
    const radios = [...event.target.closest("fieldset").querySelectorAll("input[type=radio]")];
    const next = radios[(radios.indexOf(event.target) + step + radios.length) % radios.length];
    event.preventDefault();
    next.focus();
    next.click();
  });
  document.addEventListener("submit", event => {
    if (event.target.id !== "voice-form") return;
    event.preventDefault();
    const text = find("voice-text").value.trim();
    find("voice-text").value = "";
    if (text) say(text);
  });

  // gradio's HTML regions say nothing to screen readers when they change, and one of its buttons has no name.
  const live = { "analysis-status": "status", "transcription-status": "status", transcript: "log" };
  const labels = { transcript: "Transcript" };
  new MutationObserver(() => {
    document.querySelectorAll('[aria-label="common.upload"]').forEach(button => button.setAttribute("aria-label", "Add files"));
    document.querySelectorAll("div.options").forEach(list => (list.tabIndex = -1)); // else Tab stops at nothing
    for (const [id, role] of Object.entries(live)) {
      const region = find(id);
      if (!region || region.getAttribute("role") === role) continue;
      region.setAttribute("role", role);
      if (labels[id]) region.setAttribute("aria-label", labels[id]);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
