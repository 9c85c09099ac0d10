// How framed is: the library's progress, photos that could not be read, jobs, and what the server says of itself.
import { at, attempt, button, call, duration, element, fillBar, itemsOf, plural, say, toast } from './console_api.js';
import { readPhotos } from './console_photos.js';

const FRESH_MS = 60000, SHOWN_JOBS = 6;
const WORK = { library_rescan: 'Looking for photos', playlist_refresh: 'Adding new photos to playlists', art_generate: 'Making a picture' };
const STATE = { queued: 'waiting', running: 'working', succeeded: 'done', failed: 'failed', cancelled: 'cancelled' };
let failedCount = -1, analysedBefore = -1, paused = false, jobs = [];

// ---- the library

export function drawLibrary(library) {
  const photos = library.photos || 0, analysed = library.analysed || 0, failed = library.failed || 0;
  const counts = { photos, analysed, pending: library.pending || 0, people: library.people || 0 };
  for (const key of Object.keys(counts)) { say(at(key), counts[key].toLocaleString()); }
  const percent = photos ? Math.round(100 * analysed / photos) : 0;
  fillBar(at('library-fill'), percent);
  at('library-bar').setAttribute('aria-valuenow', String(percent));
  say(at('scan'), library.scanning ? 'looking for photos' : '');
  say(at('library-text'), libraryText(library, photos));
  at('failed').hidden = failed === 0;
  say(at('failed-count'), plural(failed, 'photo', 'photos') + ' could not be read');
  if (failed !== failedCount) { failedCount = failed; if (at('failed').open) { readFailed(); } }
  if (analysedBefore >= 0 && analysed !== analysedBefore) { readPhotos(); }
  analysedBefore = analysed;
}

function libraryText(library, photos) {
  if (photos === 0) { return library.scanning ? 'Looking through your photo folders for the first time.' : 'No photos yet. Put photos into one of the folders that config.yaml names under “library”.'; }
  if (!library.pending) { return 'Everything is known. New photos are noticed by themselves.'; }
  return paused ? 'The analysis is paused.' : 'Getting to know your photos' + (library.eta_s ? ', about ' + duration(library.eta_s) + ' left.' : '.');
}

at('failed').addEventListener('toggle', () => { if (at('failed').open) { readFailed(); } });
function readFailed() {
  call('photo/list', { state: 'failed', limit: 100 }).then((answer) => {
    at('failed-list').replaceChildren(...itemsOf(answer).map((photo) => {
      const row = element('li');
      row.append(element('strong', '', photo.path || photo.photo), element('div', 'muted', photo.problem || 'No reason was kept.'));
      return row;
    }));
  }).catch((error) => toast(error.message));
}

at('rescan').addEventListener('click', () => attempt(call('library/rescan'), 'Looking for new photos'));
at('pause-analysis').addEventListener('click', () => {
  attempt(call('options/set', { paused: !paused }), paused ? 'Going on' : 'The analysis is paused; the frames go on').then((answer) => { if (answer) { tellPaused(!paused); } });
});
function tellPaused(now) {
  paused = now;
  say(at('pause-analysis'), now ? 'Go on with the analysis' : 'Pause the analysis');
}

// ---- jobs

export function changeJob(job) {
  jobs = jobs.some((one) => one.id === job.id) ? jobs.map((one) => (one.id === job.id ? job : one)) : [job, ...jobs];
  drawJobs();
}

function drawJobs() {
  const shown = jobs.slice(0, SHOWN_JOBS);
  at('jobs-empty').hidden = shown.length > 0;
  at('jobs').hidden = shown.length === 0;
  at('jobs').replaceChildren(...shown.map((job) => {
    const row = element('li'), text = element('div', 'row-text');
    text.append(element('strong', '', WORK[job.kind] || job.kind.replace(/_/g, ' ')), element('span', 'muted', jobText(job)));
    row.appendChild(text);
    if (job.state === 'running' || job.state === 'queued') {
      row.appendChild(button('Cancel', 'link', () => attempt(call('job/cancel', { id: job.id }), 'Cancelled')));
      const bar = element('div', 'bar'), filled = element('div');
      fillBar(filled, 100 * (job.progress || 0));
      bar.appendChild(filled);
      row.appendChild(bar);
    }
    return row;
  }));
}

function jobText(job) {
  const result = job.result || {}, found = [];
  if (job.error) { found.push(job.error.message); }
  if (typeof result.new === 'number') { found.push(plural(result.new, 'new photo', 'new photos')); }
  if (typeof result.added === 'number') { found.push(plural(result.added, 'photo added', 'photos added')); }
  return [STATE[job.state] || job.state, job.state === 'running' && job.step, ...found].filter(Boolean).join(' · ');
}

// ---- the server

let next = 0;
export function readStatus() {
  clearTimeout(next);
  next = setTimeout(() => { if (document.visibilityState === 'visible') { readStatus(); } }, FRESH_MS);
  call('health').then((answer) => drawHealth(answer.data || {})).catch((error) => toast(error.message));
  call('job/list', { limit: SHOWN_JOBS }).then((answer) => { jobs = itemsOf(answer); drawJobs(); }).catch((error) => toast(error.message));
  call('options/get').then((answer) => tellPaused(!!(answer.data && answer.data.paused))).catch((error) => toast(error.message));
  call('models/list').then((answer) => drawModels(itemsOf(answer))).catch((error) => toast(error.message));
}

function drawHealth(health) {
  at('trouble').hidden = !health.problem;
  say(at('trouble'), health.problem || '');
  const mqtt = health.mqtt || {};
  const pairs = [
    ['Running for', typeof health.uptime_s === 'number' ? duration(health.uptime_s) : ''],
    ['MQTT', mqtt.connected ? 'connected' + (mqtt.protocol ? ' (version ' + mqtt.protocol + ')' : '') : 'not connected'],
    ['Memory', typeof health.memory_mb === 'number' ? Math.round(health.memory_mb) + ' MB' : ''],
    ['Helpers', (health.hosts || []).map((host) => host.name + ' ' + host.state).join(', ')],
    ['Problems in the last hour', String(health.errors_1h || 0)]
  ];
  at('server').replaceChildren(...pairs.filter(([, value]) => value).flatMap(([name, value]) => [element('dt', '', name), element('dd', '', value)]));
}

function drawModels(models) {
  at('models').replaceChildren(...models.flatMap((model) => [
    element('dt', '', model.task.replace(/_/g, ' ')),
    element('dd', model.state === 'ready' ? '' : 'bad', [model.model || model.backend, model.state === 'ready' ? '' : model.reason || model.state].filter(Boolean).join(': '))
  ]));
}
