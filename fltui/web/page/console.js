// What Textual's page lacks: the address of the web socket as this page was reached, what is said when it closes,
// the keyboard in the terminal from the start, and a clipboard where the browser has none for pages without TLS.
"use strict";

const REASONS = {
  1001: "The server has ended.",
  1006: "The connection is lost: the server has ended, or cannot be reached.",
  4000: "The console was left. Runs go on.",
};

const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("close", (event) => {
      document.getElementById("why").textContent = event.reason || REASONS[event.code] || "The console has ended.";
      document.getElementById("over").hidden = false;
      document.getElementById("again").focus();
    });
    this.addEventListener("open", () => document.querySelector(".xterm-helper-textarea").focus());
  }

  send(data) {
    if (this.readyState === Plain.OPEN) super.send(data);
  }
};

if (!navigator.clipboard) {
  const writeText = (text) => {
    const focused = document.activeElement;
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    if (focused) focused.focus();
    return Promise.resolve();
  };
  Object.defineProperty(navigator, "clipboard", { value: { writeText, readText: () => Promise.resolve("") } });
} else {
  // A text that a site sends must not be able to ask what is on the clipboard.
  Object.defineProperty(navigator.clipboard, "readText", { value: () => Promise.resolve("") });
}

document.addEventListener("DOMContentLoaded", () => {
  const socket = new URL("ws", window.location.href);
  socket.protocol = socket.protocol === "https:" ? "wss:" : "ws:";
  document.getElementById("terminal").dataset.sessionWebsocketUrl = socket.href.split("?")[0];
  document.getElementById("again").addEventListener("click", () => window.location.reload());
});
