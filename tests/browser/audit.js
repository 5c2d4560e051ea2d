// What a person who cannot see, or cannot see well, would stumble over. Evaluated in the page by test_pages.py.
(() => {
  const nameOf = (element) =>
    (element.getAttribute('aria-label') || element.getAttribute('aria-labelledby') || element.textContent || element.title || '').trim();

  // Interactive elements without a name, fields without a label, ids used twice, missing landmarks.
  const unnamed = () => {
    const problems = [];
    for (const element of document.querySelectorAll('button, a[href], [role=button], [role=option], [role=img], [role=tab]')) {
      if (nameOf(element) === '') problems.push(`no name: ${element.outerHTML.slice(0, 120)}`);
    }
    for (const field of document.querySelectorAll('input, select, textarea')) {
      if (!field.labels?.length && !field.getAttribute('aria-label')) problems.push(`no label: ${field.outerHTML.slice(0, 120)}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    for (const id of new Set(ids.filter((each, at) => ids.indexOf(each) !== at))) problems.push(`id twice: ${id}`);
    if (document.querySelectorAll('main').length !== 1) problems.push('not one main');
    if (document.querySelectorAll('h1').length === 0) problems.push('no h1');
    if (!document.documentElement.lang) problems.push('no language');
    return problems;
  };

  const parse = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 };
  };
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0.9) return rgb;
    }
    return [255, 255, 255];
  };
  const isLookedAt = (element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== '') &&
    element.closest('svg, [disabled], [data-disabled], .visually-hidden, .skip-link') === null &&
    element.getClientRects().length > 0;

  // Texts with less than 4.5:1 against what lies behind them; 3:1 is enough for large ones.
  const faint = () => {
    const found = new Map();
    for (const element of [...document.querySelectorAll('body *')].filter(isLookedAt)) {
      const style = getComputedStyle(element);
      const [own, other] = [luminance(parse(style.color).rgb), luminance(behind(element))];
      const ratio = (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05);
      const enough = parseFloat(style.fontSize) >= 17 ? 3 : 4.5;
      if (ratio < enough) found.set(`${element.className} ${style.color}`, `${ratio.toFixed(2)} "${element.textContent.trim().slice(0, 30)}"`);
    }
    return [...found].map(([name, text]) => `${name}: ${text}`);
  };

  window.audit = { unnamed, faint };
})();
