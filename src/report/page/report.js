'use strict';
(() => {
  // Keys of an instance, as html_data.cc writes them: a address, r result, s start, n attempts, d duration, u CPU
  // (ms), p memory (bytes), ir read and iw written (bytes), y why, b blocked by, f files, k when it last ran, e error, x errors of earlier attempts,
  // o outputs, l log, lc log lines left out, z refusals.
  const all = JSON.parse(document.getElementById('data').textContent);
  const pageSize = 300;
  const columns = [
    {key: 'a', name: 'Instance', text: (i) => i.a},
    {key: 'r', name: 'Result', text: (i) => word(i.r)},
    {key: 's', name: 'Start', number: true, narrow: 'wide', text: (i) => i.s === undefined ? '' : time(i.s)},
    {key: 'd', name: 'Time', number: true, text: (i) => i.n ? time(i.d || 0) : ''},
    {key: 'n', name: 'Attempts', number: true, narrow: 'wide', text: (i) => i.n || ''},
    {key: 'u', name: 'CPU', number: true, narrow: 'wide', text: (i) => i.u ? time(i.u) : ''},
    {key: 'p', name: 'Memory', number: true, narrow: 'wide', text: (i) => i.p ? size(i.p) : ''},
    {key: 'ir', name: 'Read', number: true, narrow: 'wide', text: (i) => i.ir ? size(i.ir) : ''},
    {key: 'iw', name: 'Written', number: true, narrow: 'wide', text: (i) => i.iw ? size(i.iw) : ''},
    {key: 'y', name: 'Why', narrow: 'middle', text: reason},
  ].filter((c) => c.key === 'a' || c.key === 'r' || all.some((i) => c.text(i) !== ''));
  const table = document.getElementById('instances');
  const body = table.tBodies[0];
  const find = document.getElementById('find');
  const result = document.getElementById('result');
  const more = document.getElementById('more');
  let order = {key: '', down: false};
  let chosen = [];
  let shown = 0;

  function word(r) { return r === 'timed_out' ? 'timed out' : r === 'none' ? 'not finished' : r; }
  function time(ms) {
    if (ms < 1000) return Math.round(ms) + 'ms';
    const s = ms / 1000;
    if (s < 60) return s.toFixed(1) + 's';
    const two = (n) => String(Math.floor(n)).padStart(2, '0');
    return s < 3600 ? Math.floor(s / 60) + 'm' + two(s % 60) + 's' : Math.floor(s / 3600) + 'h' + two(s / 60 % 60) + 'm';
  }
  function size(bytes) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let u = 0;
    while (bytes >= 1024 && u < 4) { bytes /= 1024; ++u; }
    return (u === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)) + ' ' + units[u];
  }
  function reason(i) {
    if (i.e) return i.e.m.split('\n')[0];
    if (i.b) return 'by ' + i.b;
    return (i.y || '').split('\n')[0];
  }
  // Everything is set as text: nothing that an instance says becomes markup.
  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function head() {
    const row = table.tHead.rows[0];
    for (const column of columns) {
      const cell = make('th', undefined, classOf(column));
      cell.scope = 'col';
      const button = make('button', column.name);
      button.type = 'button';
      button.addEventListener('click', () => {
        order = {key: column.key, down: order.key === column.key ? !order.down : Boolean(column.number)};
        for (const other of row.cells) other.removeAttribute('aria-sort');
        cell.setAttribute('aria-sort', order.down ? 'descending' : 'ascending');
        choose();
      });
      cell.append(button);
      row.append(cell);
    }
  }
  function classOf(column) {
    return ['c-' + column.key, column.number ? 'n' : '', column.narrow || ''].filter(Boolean).join(' ');
  }

  function choose() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    chosen = [];
    all.forEach((one, index) => {
      if (result.value && one.r !== result.value) return;
      const text = (one.a + '\n' + (one.y || '') + '\n' + (one.b || '') + '\n' +
                    (one.e ? one.e.m + ' ' + (one.e.c || '') : '')).toLowerCase();
      if (words.every((w) => text.includes(w))) chosen.push(index);
    });
    const column = columns.find((c) => c.key === order.key);
    if (column) {
      const value = (index) => {
        const one = all[index];
        if (!column.number) return column.text(one);
        return one[column.key] === undefined ? (column.key === 'd' && one.n ? 0 : -1) : one[column.key];
      };
      const compare = column.number ? (a, b) => value(a) - value(b) : (a, b) => value(a).localeCompare(value(b), 'en', {numeric: true});
      chosen.sort(order.down ? (a, b) => compare(b, a) : compare);
    }
    body.replaceChildren();
    shown = 0;
    show();
    for (const item of document.querySelectorAll('#counts li'))
      item.setAttribute('aria-current', String(item.dataset.result === result.value));
  }

  function show(least) {
    const end = Math.min(chosen.length, Math.max(shown + pageSize, least || 0));
    const rows = document.createDocumentFragment();
    for (; shown < end; ++shown) rows.append(row(chosen[shown]));
    body.append(rows);
    more.hidden = shown === chosen.length;
    document.getElementById('shown').textContent = chosen.length === all.length && shown === all.length
      ? all.length + ' instances' : shown + ' of ' + chosen.length + ' shown, ' + all.length + ' in all';
  }

  function row(index) {
    const one = all[index];
    const line = make('tr');
    line.id = 'i' + index;
    for (const column of columns) {
      const cell = make('td', undefined, classOf(column));
      if (column.key === 'a') {
        const button = make('button', one.a, 'open');
        button.type = 'button';
        button.setAttribute('aria-expanded', 'false');
        button.addEventListener('click', () => toggle(line, index));
        cell.append(button);
      } else if (column.key === 'r') {
        cell.append(make('span', column.text(one), 'mark r-' + one.r));
      } else {
        cell.textContent = column.text(one);
      }
      line.append(cell);
    }
    return line;
  }

  function toggle(line, index) {
    const button = line.querySelector('.open');
    const open = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!open));
    if (open) { line.nextElementSibling.remove(); return; }
    const details = make('tr', undefined, 'more');
    const cell = make('td');
    cell.colSpan = span();
    fill(cell, all[index]);
    details.append(cell);
    line.after(details);
  }

  // A cell across columns that a narrow window hides would make room for them.
  function span() { return [...table.tHead.rows[0].cells].filter((c) => c.offsetWidth > 0).length; }

  function pairs(cell, list) {
    const dl = make('dl', undefined, 'pairs');
    for (const [name, value] of list) if (value) dl.append(make('dt', name), make('dd', value));
    if (dl.childElementCount) cell.append(dl);
  }
  function block(cell, title, text) {
    if (text) cell.append(make('h4', title), make('pre', text));
  }
  function errorText(e) {
    return (e.w ? e.w + ': ' : '') + e.m + (e.c ? ' [' + e.c + ']' : '') + (e.h ? '\nhint: ' + e.h : '') + (e.t ? '\n' + e.t : '');
  }
  function fill(cell, one) {
    pairs(cell, [['Result', word(one.r)], ['Blocked by', one.b], ['Started after', one.s === undefined ? '' : time(one.s)],
      ['Time', one.n ? time(one.d || 0) : ''], ['Attempts', one.n ? String(one.n) : ''], ['CPU', one.u ? time(one.u) : ''],
      ['Memory', one.p ? size(one.p) : ''], ['Read', one.ir ? size(one.ir) : ''], ['Written', one.iw ? size(one.iw) : ''],
      ['Last ran', one.k], ['Its files', one.f]]);
    block(cell, 'Why', one.y);
    if (one.e) block(cell, 'Error', errorText(one.e));
    (one.x || []).forEach((e, n) => block(cell, 'Attempt ' + (n + 1) + ' failed', errorText(e)));
    if (one.o && one.o.length) { cell.append(make('h4', 'Outputs')); pairs(cell, one.o); }
    if (one.z) block(cell, 'Refused', one.z.join('\n'));
    if (one.l || one.lc) block(cell, 'Log', (one.lc ? '(' + one.lc + ' earlier lines are in the log file)\n' : '') + (one.l || ''));
  }

  // #i12, from the timeline and the graph: shows that row, whatever was filtered.
  function follow() {
    const match = /^#i(\d+)$/.exec(location.hash);
    if (!match || !all[match[1]]) return;
    const index = Number(match[1]);
    if (!chosen.includes(index)) { find.value = ''; result.value = ''; choose(); }
    show(chosen.indexOf(index) + 1);
    const line = document.getElementById('i' + index);
    const button = line.querySelector('.open');
    if (button.getAttribute('aria-expanded') !== 'true') toggle(line, index);
    line.scrollIntoView({block: 'start'});
    button.focus({preventScroll: true});
  }

  head();
  for (const r of new Set(all.map((i) => i.r))) {
    const option = make('option', word(r));
    option.value = r;
    result.append(option);
  }
  for (const item of document.querySelectorAll('#counts li')) {
    const button = make('button');
    button.type = 'button';
    button.append(...item.childNodes);
    button.title = 'Show only these';
    button.addEventListener('click', () => {
      result.value = result.value === item.dataset.result ? '' : item.dataset.result;
      choose();
    });
    item.append(button);
  }
  table.hidden = false;
  document.querySelector('.tools').hidden = false;
  let timer;
  find.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(choose, 120); });
  result.addEventListener('change', choose);
  more.addEventListener('click', () => show());
  addEventListener('hashchange', follow);
  addEventListener('resize', () => { for (const cell of document.querySelectorAll('tr.more > td')) cell.colSpan = span(); });
  choose();
  follow();
})();
