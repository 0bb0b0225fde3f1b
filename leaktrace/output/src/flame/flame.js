// Zoom into a frame with a click or Enter, out with Escape or a click on the lowest frame; mark frames by name.
function leaktraceFlame(svg) {
  const WIDTH = 1180, CHARACTER = 7.3;
  const frames = Array.from(svg.querySelectorAll('.frame'), element => ({
    element, rect: element.querySelector('rect'), text: element.querySelector('text'),
    x: +element.dataset.x, w: +element.dataset.w, depth: +element.dataset.d, name: element.dataset.n,
  }));
  function zoom(target) {
    const scale = WIDTH / target.w, end = target.x + target.w;
    for (const frame of frames) {
      const below = frame.depth < target.depth && frame.x <= target.x + 0.02 && frame.x + frame.w >= end - 0.02;
      const inside = frame.depth >= target.depth && frame.x >= target.x - 0.02 && frame.x + frame.w <= end + 0.02;
      frame.element.classList.toggle('away', !below && !inside);
      frame.element.classList.toggle('context', below);
      if (!below && !inside) continue;
      const x = below ? 0 : (frame.x - target.x) * scale, w = below ? WIDTH : frame.w * scale;
      frame.rect.setAttribute('x', x);
      frame.rect.setAttribute('width', w);
      frame.text.setAttribute('x', x + 3);
      const room = Math.floor((w - 6) / CHARACTER);
      frame.text.textContent = room < 3 ? '' : frame.name.length <= room ? frame.name : '…' + frame.name.slice(1 - room);
    }
  }
  for (const frame of frames) {
    frame.element.addEventListener('click', () => zoom(frame));
    frame.element.addEventListener('keydown', event => {
      if (event.key === 'Enter') zoom(frame);
      if (event.key === 'Escape') zoom(frames[0]);
    });
  }
  return {
    mark(words) {
      const wanted = words.toLowerCase();
      let found = 0;
      for (const frame of frames) {
        const hit = wanted !== '' && frame.name.toLowerCase().includes(wanted);
        frame.element.classList.toggle('match', hit);
        if (hit) found++;
      }
      return found;
    },
    reset() { if (frames.length) zoom(frames[0]); },
  };
}
