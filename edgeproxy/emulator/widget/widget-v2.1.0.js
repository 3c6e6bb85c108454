// A contact-centre chat widget: a launcher in the corner, a dialog with a conversation, a chime.
// It answers from a short list of replies and talks to no server.
(() => {
  "use strict";

  const settings = window.chatWidget;
  if (!settings || settings.element) {
    return;
  }

  const REPLIES = [
    [/\b(due|when|date|late)\b/i, "Bills are due fourteen days after they are sent."],
    [/\b(meter|reading)\b/i, "You can send a reading any day; the next bill uses it."],
    [/\b(mov(e|ing)|leav(e|ing))\b/i, "Tell us a week ahead, and the last bill comes by itself."],
    [/\b(human|agent|person|call)\b/i, "Somebody would call you back now, were this more than a demo."],
    [/\b(thanks?|bye)\b/i, "You are welcome. Have a good day!"],
  ];
  const FALLBACK = "I know about due dates, meter readings and moving out. Which one is it?";

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function replyTo(text) {
    const match = REPLIES.find(([pattern]) => pattern.test(text));
    return match ? match[1] : FALLBACK;
  }

  class ChatWidget extends HTMLElement {
    #root = this.attachShadow({ mode: "open" });
    #chime = new Audio();
    #launcher;
    #panel;
    #log;
    #field;
    #sound;

    connectedCallback() {
      const style = make("link", { rel: "stylesheet", href: `${settings.assets}widget.css` });
      const icon = make("img", { src: `${settings.assets}chat.svg`, alt: "", width: "28", height: "28" });
      const loaded = [style, icon].map((element) => new Promise((resolve) => {
        element.addEventListener("load", resolve);
        element.addEventListener("error", resolve);
      }));
      this.#chime.preload = "auto";
      this.#chime.src = `${settings.assets}chime.wav`;
      this.#launcher = make("button", { type: "button", class: "launcher", "aria-expanded": "false", "aria-controls": "panel" },
        icon, make("span", {}, "Chat with us"));
      this.#launcher.addEventListener("click", () => this.toggle());
      this.#root.append(style, this.#makePanel(), this.#launcher);
      this.#say("them", settings.greeting);
      // shown only once it has its style: before that it would push the page around
      this.hidden = true;
      Promise.all(loaded).then(() => {
        this.hidden = false;
        this.dataset.state = "ready";
        // an address that ends in #chat opens the conversation at once: for links in e-mails
        if (location.hash === "#chat") {
          this.toggle(true);
        }
        document.dispatchEvent(new CustomEvent("chat-widget:ready"));
      });
    }

    #makePanel() {
      const close = make("button", { type: "button", class: "close", "aria-label": "Close the chat" }, "×");
      close.addEventListener("click", () => this.toggle(false));
      this.#log = make("ol", { role: "log", "aria-live": "polite", "aria-label": "Conversation", tabindex: "0" });
      this.#field = make("input", { id: "message", name: "message", autocomplete: "off", maxlength: "300", placeholder: "Type a question", required: "" });
      this.#sound = make("input", { type: "checkbox", id: "sound" });
      const form = make("form", {},
        make("label", { for: "message", class: "unseen" }, "Your message"), this.#field,
        make("button", { type: "submit" }, "Send"));
      form.addEventListener("submit", (event) => this.#submit(event));
      this.#panel = make("section", { id: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
        make("header", {}, make("h2", { id: "title" }, settings.team), close),
        this.#log, form,
        make("p", { class: "foot" }, this.#sound, make("label", { for: "sound" }, "Chime on answers"),
          make("span", {}, `v${settings.version}`)));
      this.#panel.addEventListener("keydown", (event) => {
        if (event.key === "Escape") {
          this.toggle(false);
        }
      });
      return this.#panel;
    }

    toggle(open = this.#panel.hidden) {
      this.#panel.hidden = !open;
      this.#launcher.setAttribute("aria-expanded", String(open));
      (open ? this.#field : this.#launcher).focus({ preventScroll: true });
    }

    #say(who, text) {
      const line = make("li", { class: who }, make("span", { class: "unseen" }, who === "us" ? "You: " : `${settings.team}: `), text);
      this.#log.append(line);
      this.#log.scrollTop = this.#log.scrollHeight;
    }

    #submit(event) {
      event.preventDefault();
      const text = this.#field.value.trim();
      if (!text) {
        return;
      }
      this.#field.value = "";
      this.#say("us", text);
      setTimeout(() => {
        this.#say("them", replyTo(text));
        if (this.#sound.checked) {
          this.#chime.currentTime = 0;
          this.#chime.play().catch(() => {});
        }
      }, 500);
    }
  }

  customElements.define("chat-widget", ChatWidget);
  settings.element = document.createElement("chat-widget");
  const attach = () => document.body.append(settings.element);
  if (document.body) {
    attach();
  } else {
    document.addEventListener("DOMContentLoaded", attach, { once: true });
  }
})();
