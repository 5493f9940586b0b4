// Adds to each figure's numbers a button that copies them. Nothing else on the page needs a script.
for (const data of document.querySelectorAll("details.data")) {
  const text = data.querySelector("pre");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy CSV";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      data.open = true;
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy CSV"), 1500);
  });
  data.before(button);
}
