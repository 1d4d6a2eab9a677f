// Every text that is seen, with its contrast to the ground it stands on (WCAG 2.2, 1.4.3) and the least it needs.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  // Any colour as [red, green, blue, alpha] from 0 to 1.
  function channels(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((channel) => channel / 255);
  }

  function over([red, green, blue, alpha], below) {
    return [red, green, blue].map((channel, index) => channel * alpha + below[index] * (1 - alpha));
  }

  function ground(node) {
    const layers = [];
    for (let box = node; box; box = box.parentElement) layers.push(channels(getComputedStyle(box).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [1, 1, 1]);
  }

  function luminance(colour) {
    const [red, green, blue] = colour.map((channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function ratio(one, other) {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }

  function isSeen(node) {
    const { width, height } = node.getBoundingClientRect();
    return width > 1 && height > 1 && node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  }

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !isSeen(node) || node.closest("noscript, .spoken")) continue;
    const style = getComputedStyle(node);
    const below = ground(node);
    const colour = over(channels(node.ownerSVGElement ? style.fill : style.color), below);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    texts.push({ text, where: node.className.baseVal ?? node.className, ratio: ratio(colour, below), least: isLarge ? 3 : 4.5 });
  }
  return texts;
}
