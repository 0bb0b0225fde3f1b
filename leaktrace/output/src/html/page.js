'use strict';
// Sorting by column, filtering by words and verdict. The page reads completely without this script.
for (const section of document.querySelectorAll('section[data-table]')) {
  const table = section.querySelector('table'), body = table.tBodies[0], heads = Array.from(table.tHead.rows[0].cells);
  const rows = Array.from(body.rows, (element, order) => ({ element, order, text: element.textContent.toLowerCase(), verdicts: (element.dataset.verdicts || '').split(' ') }));
  const words = section.querySelector('input[type=search]'), verdict = section.querySelector('select'), shown = section.querySelector('.shown');
  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), named = verdict ? verdict.value : '';
    let count = 0;
    for (const row of rows) {
      const fits = wanted.every(word => row.text.includes(word)) && (named === '' || row.verdicts.includes(named));
      row.element.hidden = !fits;
      if (fits) count++;
    }
    shown.textContent = count + ' of ' + rows.length + ' shown';
  }
  function sort(index) {
    const head = heads[index], numbers = head.classList.contains('num');
    const first = numbers ? 'descending' : 'ascending', other = numbers ? 'ascending' : 'descending';
    const direction = head.getAttribute('aria-sort') === first ? other : first, sign = direction === 'ascending' ? 1 : -1;
    for (const each of heads) each.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', direction);
    const key = row => row.element.cells[index].dataset.v ?? row.element.cells[index].textContent;
    rows.sort((a, b) => {
      const left = key(a), right = key(b);
      // What is unknown stays at the end, whichever way the rest goes.
      if (left === '' || right === '') return (left === '') - (right === '') || a.order - b.order;
      return sign * (numbers ? left - right : left.localeCompare(right)) || a.order - b.order;
    });
    body.append(...rows.map(row => row.element));
  }
  heads.forEach((head, index) => head.querySelector('button').addEventListener('click', () => sort(index)));
  words.addEventListener('input', filter);
  if (verdict) verdict.addEventListener('change', filter);
  filter();
}
const drawing = document.querySelector('#flame svg');
if (drawing) {
  const flame = leaktraceFlame(drawing), find = document.getElementById('find'), found = document.getElementById('found');
  find.addEventListener('input', () => { const hits = flame.mark(find.value.trim()); found.textContent = find.value.trim() ? hits + ' marked' : ''; });
  document.getElementById('whole').addEventListener('click', () => flame.reset());
}
// Paper has nothing to click on.
addEventListener('beforeprint', () => { for (const element of document.querySelectorAll('details')) element.open = true; });
