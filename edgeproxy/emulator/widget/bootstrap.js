// The entry point that pages embed. Its address never changes; what it loads is named by version,
// so that a release is one small file revalidated and everything else fetched once, for good.
(() => {
  "use strict";

  const VERSION = "2.1.0";
  const self = document.currentScript;
  if (!self || window.chatWidget) {
    return;
  }
  const base = new URL(".", self.src);
  window.chatWidget = {
    version: VERSION,
    assets: new URL(`v${VERSION}/`, base).href,
    team: self.dataset.team || "Support",
    greeting: self.dataset.greeting || "Hello! How can we help?",
  };

  const script = document.createElement("script");
  script.src = new URL(`widget-v${VERSION}.js`, base).href;
  script.async = true;
  script.addEventListener("error", () => {
    // the page goes on without a chat, and somebody else may load the widget later
    delete window.chatWidget;
  });
  document.head.append(script);
})();
