// The frames of the house, live: what each one shows and why, its buttons, its settings and its link.
import { at, attempt, call, confirmed, copy, itemsOf, photoAddress, plural, say, toast } from './console_api.js';

export let frames = [];
let named = '';                  // the names as they were last told: a choice that is open is not redrawn with every picture
let tell = () => {};
let settling = null;             // the frame whose settings are open

export function framesChanged(listener) { tell = listener; }

export function readFrames() {
  return call('frame/list').then((answer) => { frames = itemsOf(answer); draw(); }).catch((error) => toast(error.message));
}

// A frame's new state, whole: a key that is gone is gone. What only the list knows stays.
export function changeFrame(state) {
  const known = frames.find((frame) => frame.frame === state.frame);
  if (!known) { readFrames(); return; }
  const { link, fit, overlay, source, interval_s } = known;
  frames = frames.map((frame) => (frame === known ? { link, fit, overlay, source, interval_s, ...state } : frame));
  draw();
}

function draw() {
  const cards = new Map([...at('frames').children].filter((card) => card.dataset.frame).map((card) => [card.dataset.frame, card]));
  at('frames').replaceChildren(...frames.map((frame) => {
    const card = cards.get(frame.frame) || newCard(frame.frame);
    fillCard(card, frame);
    return card;
  }));
  at('frames').hidden = frames.length === 0;
  at('frames-empty').hidden = frames.length > 0;
  at('frame-new').hidden = frames.length === 0;
  say(at('frames-count'), frames.length ? plural(frames.filter((frame) => frame.online).length, 'online', 'online') : '');
  const names = JSON.stringify(frames.map((frame) => [frame.frame, frame.name]));
  if (names !== named) { named = names; tell(); }
}

function newCard(id) {
  const card = copy('frame-card');
  card.dataset.frame = id;
  card.querySelector('.tools').addEventListener('click', (event) => {
    const pressed = event.target.closest('button');
    if (!pressed) { return; }
    if (pressed.classList.contains('settings')) { openSettings(id); } else { command(id, pressed.dataset.action); }
  });
  card.querySelector('.panel img').addEventListener('error', (event) => { event.target.hidden = true; card.querySelector('.blank').hidden = false; });
  return card;
}

function fillCard(card, frame) {
  const name = frame.name || frame.frame;
  const asleep = frame.next_wake && !frame.online && !frame.late;
  say(card.querySelector('h3'), name);
  card.classList.toggle('night', frame.on === false);
  card.classList.toggle('offline', !frame.online && !asleep);
  card.querySelector('.status').className = 'status ' + (frame.error ? 'bad' : frame.late ? 'warn' : frame.online ? 'good' : '');
  say(card.querySelector('.status-text'), [stateWord(frame, asleep), typeof frame.battery === 'number' ? Math.round(frame.battery) + ' %' : ''].filter(Boolean).join(' · '));
  fillPanel(card, frame, name);
  say(card.querySelector('.playing'), frame.playlist_name ? frame.playlist_name + (frame.count ? ' · ' + (frame.position || 1) + ' of ' + frame.count : '') : 'No playlist');
  say(card.querySelector('.why'), frame.error || (frame.why ? 'Because: ' + frame.why : '') || frame.caption || '');
  card.querySelector('.tool').href = '/frame/' + encodeURIComponent(frame.frame) + '?look=1';
  const pause = card.querySelector('[data-action=pause],[data-action=resume]'), label = frame.paused ? 'Resume' : 'Pause';
  pause.dataset.action = label.toLowerCase();
  pause.title = label;
  pause.setAttribute('aria-label', label);
  pause.querySelector('use').setAttribute('href', '#i-' + label.toLowerCase());
  card.querySelector('[data-action=favourite]').setAttribute('aria-pressed', String(frame.favourite === true));
  card.querySelector('.tools').setAttribute('aria-label', name);
  for (const one of card.querySelectorAll('[data-action]')) { one.disabled = !frame.photo; }
}

function stateWord(frame, asleep) {
  if (frame.error) { return 'Problem'; }
  if (frame.online) { return frame.on === false ? 'Night' : frame.paused ? 'Paused' : 'On'; }
  return asleep ? 'Asleep' : frame.late ? 'Late' : 'Not open anywhere';
}

function fillPanel(card, frame, name) {
  const panel = card.querySelector('.panel div'), turned = frame.rotation === 90 || frame.rotation === 270;
  const width = turned ? frame.height : frame.width, height = turned ? frame.width : frame.height, ratio = width && height ? width / height : 1.6;
  const wide = Math.min(15, 10 * ratio);   // rem: what the card's wall has room for
  panel.style.width = wide + 'rem';
  panel.style.aspectRatio = String(ratio);
  const image = card.querySelector('.panel img'), blank = card.querySelector('.blank');
  const address = frame.photo ? photoAddress(frame.photo, 'preview') : '';
  if (image.dataset.address !== address) {
    image.dataset.address = address;
    image.hidden = !address;
    blank.hidden = !!address;
    if (address) { image.src = address; } else { image.removeAttribute('src'); }
  }
  image.style.objectFit = frame.fit === 'contain' || frame.fit === 'matte' || frame.fit === 'blur' ? 'contain' : 'cover';
  image.alt = frame.caption || 'Picture on ' + name;
  say(blank, address ? 'The picture cannot be loaded' : 'Nothing yet. Ask for something above.');
}

function command(frame, action) {
  const seen = action === 'next' || action === 'previous';
  attempt(call('frame/' + frame + '/cmd', { action }), seen ? undefined : null);
}

// ---- settings and link

function openSettings(id) {
  const frame = frames.find((one) => one.frame === id);
  if (!frame) { return; }
  settling = frame;
  say(at('settings-title'), frame.name || id);
  at('settings-name').value = frame.name || id;
  choose(at('settings-interval'), String(frame.interval_s || 300), (value) => 'every ' + value + ' s');
  at('settings-fit').value = frame.fit || 'cover';
  at('settings-overlay').value = frame.overlay || 'none';
  at('settings-brightness').value = typeof frame.brightness === 'number' ? frame.brightness : 100;
  at('link-address').value = frame.link || location.origin + '/frame/' + id;
  at('settings-open').href = at('link-address').value;
  at('settings-remove').hidden = frame.source === 'config';
  at('settings').returnValue = '';
  at('settings').showModal();
}

function choose(select, value, name) {
  if (![...select.options].some((option) => option.value === value)) { select.add(new Option(name(value), value)); }
  select.value = value;
}

at('settings-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const frame = settling, changes = {
    name: at('settings-name').value.trim(), interval_s: Number(at('settings-interval').value), fit: at('settings-fit').value,
    overlay: at('settings-overlay').value, brightness: Number(at('settings-brightness').value)
  };
  for (const key of Object.keys(changes)) { if (changes[key] === frame[key]) { delete changes[key]; } }
  at('settings').close();
  if (Object.keys(changes).length) { attempt(call('frame/set', { frame: frame.frame, ...changes }).then(readFrames), 'Saved'); }
});
at('settings-cancel').addEventListener('click', () => at('settings').close());

at('settings-remove').addEventListener('click', () => {
  const frame = settling;
  at('settings').close();
  confirmed('Remove “' + frame.name + '”?', 'Its link stops working and it is forgotten. The photos stay.', 'Remove').then((yes) => {
    if (yes) { attempt(call('frame/remove', { frame: frame.frame }).then(readFrames), 'Removed'); }
  });
});

at('link-new').addEventListener('click', () => {
  const frame = settling;
  at('settings').close();
  confirmed('Make a new link for “' + frame.name + '”?', 'The old link stops working: open the new one on the tablet.', 'New link').then((yes) => {
    if (yes) { attempt(call('frame/link', { frame: frame.frame }).then(readFrames).then(() => openSettings(frame.frame)), 'The old link no longer opens the frame'); }
  });
});

at('link-copy').addEventListener('click', () => {
  const box = at('link-address');
  box.select();
  const copied = navigator.clipboard ? navigator.clipboard.writeText(box.value) : Promise.reject(new Error('no clipboard here'));
  copied.catch(() => { if (!document.execCommand('copy')) { throw new Error('Copy it with your keyboard.'); } })   // http has no clipboard API
    .then(() => toast('Copied'), (error) => toast(error.message));
});

// ---- another frame

function add(name) {
  return call('frame/add', { name }).then((answer) => readFrames().then(() => openSettings(answer.data && answer.data.frame)));
}
at('frame-add').addEventListener('submit', (event) => { event.preventDefault(); attempt(add(at('frame-name').value.trim()), 'Frame added'); });
at('frame-new').addEventListener('click', () => { at('frame-new-name').value = ''; at('frame-new-box').showModal(); });
at('frame-new-cancel').addEventListener('click', () => at('frame-new-box').close());
at('frame-new-form').addEventListener('submit', (event) => {
  event.preventDefault();
  at('frame-new-box').close();
  attempt(add(at('frame-new-name').value.trim()), 'Frame added');
});
