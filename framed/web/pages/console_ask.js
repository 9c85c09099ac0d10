// A wish in a sentence, and the answer to it: pictures with their reasons, what was relaxed, what was left out.
import { at, attempt, button, call, copy, duration, element, fillBar, photoAddress, say } from './console_api.js';
import { frames } from './console_frames.js';

const EXAMPLES = ['Photos in random order', 'Our best pictures', 'Flowers and gardens', 'Cats', 'On this day in past years', 'Photos from Italy'];
const JUST_LOOK = '';
const JOB_MS = 1500;

let chosen = null;               // the frame that a person chose; null: nobody has yet
let asking = 0;                  // number of the newest wish: an older answer is dropped

EXAMPLES.forEach((text) => {
  at('chips').appendChild(button(text, '', () => { at('sentence').value = text; grow(); ask(); }));
});

function grow() {
  const box = at('sentence');
  box.style.height = 'auto';
  box.style.height = box.scrollHeight + 'px';
}

at('sentence').addEventListener('input', grow);
at('sentence').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(); }
});
at('ask').addEventListener('submit', (event) => { event.preventDefault(); ask(); });
at('frame').addEventListener('change', () => { chosen = at('frame').value; nameButton(); });
function nameButton() { say(at('go-text'), at('frame').value === JUST_LOOK ? 'Find' : 'Show'); }

export function fillFrames() {
  const select = at('frame'), wanted = chosen !== null ? chosen : frames[0] && frames[0].frame;
  select.replaceChildren(...frames.map((frame) => new Option(frame.name || frame.frame, frame.frame)), new Option(frames.length ? 'just looking' : 'no frame yet', JUST_LOOK));
  select.value = frames.some((frame) => frame.frame === wanted) ? wanted : JUST_LOOK;
  nameButton();
}

function ask() {
  const text = at('sentence').value.trim();
  if (!text) { at('sentence').focus(); return; }
  const frame = at('frame').value, mine = ++asking, look = frame === JUST_LOOK;
  at('go').disabled = true;
  showAnswer({ speech: 'Looking…' });
  at('answer').setAttribute('aria-busy', 'true');
  if (at('answer').getBoundingClientRect().top > 0.6 * innerHeight) { at('answer').scrollIntoView({ behavior: 'smooth', block: 'start' }); }
  call('ask', look ? { text, dry_run: true } : { text, frame }).then((answer) => {
    if (mine !== asking) { return; }
    const data = answer.data || {};
    if (answer.status === 'accepted') { follow(data, mine); } else { showAnswer(data, { offer: look || !(data.frames || [frame]).length }); }
  }, (error) => { if (mine === asking) { fail(error.message); } }).finally(() => { if (mine === asking) { at('go').disabled = false; } });
}

function fail(sentence) {
  showAnswer({ speech: sentence });
  at('answer').classList.add('problem');
}

function follow(data, mine) {
  showAnswer({ speech: data.speech || 'This takes a while. It goes on when you close this page.' });
  at('progress').hidden = false;
  fillBar(at('bar'), 0);
  say(at('progress-text'), 'Waiting for its turn');
  (function look() {
    if (mine !== asking || !data.job) { return; }
    call('job/get', { id: data.job }).then((answer) => {
      if (mine !== asking) { return; }
      const job = answer.data || {};
      fillBar(at('bar'), 100 * (job.progress || 0));
      say(at('progress-text'), [job.step, job.eta_s ? 'about ' + duration(job.eta_s) + ' left' : ''].filter(Boolean).join(' · ') || 'Working');
      if (job.state === 'succeeded') { finish(job.result || {}); }
      else if (job.state === 'failed' || job.state === 'cancelled') { fail((job.error && job.error.message) || 'This was cancelled.'); }
      else { setTimeout(look, JOB_MS); }
    }, (error) => { if (mine === asking) { say(at('progress-text'), error.message); setTimeout(look, 4 * JOB_MS); } });
  })();
}

function finish(result) {
  const items = result.items || (result.photo ? [{ photo: result.photo, why: [result.title || result.prompt || ''] }] : []);
  showAnswer({ ...result, speech: result.speech || 'It is ready.', items });
}

// `offer`: with buttons that show the pictures on a frame. `edit`: with a button on each that takes it out.
export function showAnswer(data, { offer = false, edit = null } = {}) {
  const items = data.items || [];
  at('answer').hidden = false;
  at('answer').classList.remove('problem');
  at('answer').removeAttribute('aria-busy');
  at('progress').hidden = true;
  say(at('speech'), data.speech || 'Done.');
  at('notes').replaceChildren(
    ...(data.problems || []).map((text) => element('li', 'warn', text)),
    ...(data.relaxed || []).map((text) => element('li', '', text)),
    ...leftOut(data.left_out || {}));
  at('results').replaceChildren(...items.map((item) => resultCard(item, edit)));
  at('answer-actions').replaceChildren(...(offer && items.length ? frames.map((frame) => showOn(frame, items)) : []));
  const shown = data.count || 0;
  say(at('results-more'), shown > items.length ? 'and ' + (shown - items.length).toLocaleString() + ' more' : '');
}

export function showNewWish() { asking += 1; at('go').disabled = false; }

function leftOut(counts) {
  return Object.keys(counts).filter((reason) => counts[reason] > 0)
    .map((reason) => element('li', 'out', 'left out: ' + counts[reason].toLocaleString() + ' ' + reason.replace(/_/g, ' ')));
}

// A click on the picture tells the page `photo:open`; console_photos.js hears it.
export function resultCard(item, edit) {
  const card = copy('result'), why = [].concat(item.why || []).join(' · '), opener = card.querySelector('.thumb');
  opener.setAttribute('aria-label', 'Details: ' + (item.caption || why || 'photo'));
  opener.addEventListener('click', () => document.dispatchEvent(new CustomEvent('photo:open', { detail: item })));
  card.querySelector('img').src = photoAddress(item.photo, 'thumb');
  say(card.querySelector('.why'), why || item.caption || '');
  card.querySelector('.why').title = why;
  card.querySelector('.heart').hidden = !item.favourite;
  if (edit) { card.appendChild(button('Take out', 'link take-out', () => edit(item, card))); }
  return card;
}

function showOn(frame, items) {
  return button('Show on ' + frame.name, 'button quiet', () => {
    attempt(call('playlist/set', { frame: frame.frame, photos: items.map((item) => item.photo) }), 'Now on ' + frame.name);
  });
}
