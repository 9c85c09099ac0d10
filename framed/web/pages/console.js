// The owner's page: ask, see why, steer the frames, watch the library. Everything that comes from data is text, never markup.
(function () {
  'use strict';

  var EXAMPLES = ['Beach photos from last summer', 'Our best pictures of the dog', 'On this day', 'Something calm in blue', 'Make tonight’s art'];
  var JUST_LOOK = '';
  var JOB_MS = 1500;
  var frames = [], playlists = [];
  var named = '', chosen = null; // the frames in the choices; what a person chose there

  function at(id) { return document.getElementById(id); }
  function copy(id) { return at(id).content.firstElementChild.cloneNode(true); }
  function plural(count, one, many) { return count.toLocaleString() + ' ' + (count === 1 ? one : many); }
  function itemsOf(answer) { return (answer.data && answer.data.items) || []; }
  function say(node, text) { if (node.textContent !== text) { node.textContent = text; } }

  // ---- the API

  function call(verb, payload) {
    return fetch('/api/v1/' + verb, {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(payload || {})
    }).catch(function () { throw new Error('framed is not answering. Is the server running?'); }).then(function (answer) {
      if (answer.status === 401) { location.replace('/login'); }
      return answer.json();
    }).then(function (answer) {
      if (answer.status === 'error') { throw new Error(answer.error ? answer.error.message : 'That did not work.'); }
      return answer;
    });
  }

  function attempt(promise, done) { return promise.then(function (answer) { if (done) { toast(done); } return answer; }, function (error) { toast(error.message); }); }

  var toasting = 0;
  function toast(text) {
    say(at('toast'), text);
    at('toast').hidden = false;
    clearTimeout(toasting);
    toasting = setTimeout(function () { at('toast').hidden = true; }, 4500);
  }

  // ---- asking

  var asking = 0;                // number of the newest wish: an older answer is dropped

  EXAMPLES.forEach(function (text) {
    var chip = document.createElement('button');
    chip.type = 'button';
    chip.textContent = text;
    chip.addEventListener('click', function () { at('sentence').value = text; grow(); ask(); });
    at('chips').appendChild(chip);
  });

  function grow() {
    var box = at('sentence');
    box.style.height = 'auto';
    box.style.height = box.scrollHeight + 'px';
  }
  at('sentence').addEventListener('input', grow);
  at('sentence').addEventListener('keydown', function (event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(); }
  });
  at('ask').addEventListener('submit', function (event) { event.preventDefault(); ask(); });
  at('frame').addEventListener('change', function () { chosen = at('frame').value; nameButton(); });
  function nameButton() { say(at('go-text'), at('frame').value === JUST_LOOK ? 'Find' : 'Show'); }

  function ask() {
    var text = at('sentence').value.trim();
    if (!text) { at('sentence').focus(); return; }
    var frame = at('frame').value, mine = ++asking;
    var payload = frame === JUST_LOOK ? { text: text, dry_run: true } : { text: text, frame: frame };
    at('go').disabled = true;
    showAnswer({ speech: 'Looking…' }, null);
    if (at('answer').getBoundingClientRect().top > 0.6 * innerHeight) { at('answer').scrollIntoView({ behavior: 'smooth', block: 'start' }); }
    call('ask', payload).then(function (answer) {
      if (mine !== asking) { return; }
      at('go').disabled = false;
      if (answer.status === 'accepted') { follow(answer.data || {}, mine); } else { showAnswer(answer.data || {}, frame === JUST_LOOK ? text : null); }
    }, function (error) {
      if (mine !== asking) { return; }
      at('go').disabled = false;
      showAnswer({ speech: error.message }, null);
      at('answer').classList.add('problem');
    });
  }

  function follow(data, mine) {
    showAnswer({ speech: data.speech || 'This takes a while. It goes on when you close this page.' }, null);
    at('progress').hidden = false;
    fill(at('bar'), 0);
    say(at('progress-text'), 'Waiting for its turn');
    (function look() {
      if (mine !== asking || !data.job) { return; }
      call('job/get', { id: data.job }).then(function (answer) {
        if (mine !== asking) { return; }
        var job = answer.data || {};
        fill(at('bar'), 100 * (job.progress || 0));
        say(at('progress-text'), [job.step, job.eta_s ? 'about ' + duration(job.eta_s) + ' left' : ''].filter(Boolean).join(' · ') || 'Working');
        if (job.state === 'succeeded') { finish(job.result || {}); }
        else if (job.state === 'failed' || job.state === 'cancelled') { showAnswer({ speech: (job.error && job.error.message) || 'This was cancelled.' }, null); at('answer').classList.add('problem'); }
        else { setTimeout(look, JOB_MS); }
      }, function (error) { if (mine === asking) { say(at('progress-text'), error.message); setTimeout(look, 4 * JOB_MS); } });
    })();
  }

  function finish(result) {
    var items = result.items || (result.photo ? [{ photo: result.photo, why: [result.title || result.prompt || ''] }] : []);
    showAnswer({ speech: result.speech || 'It is ready.', items: items, playlist: result.playlist, relaxed: result.relaxed, left_out: result.left_out }, null);
  }

  function showAnswer(data, lookedFor) {
    at('answer').hidden = false;
    at('answer').classList.remove('problem');
    at('progress').hidden = true;
    say(at('speech'), data.speech || 'Done.');
    at('notes').replaceChildren.apply(at('notes'), (data.relaxed || []).map(function (text) { return note(text, ''); }).concat(leftOut(data.left_out || {})));
    at('results').replaceChildren.apply(at('results'), (data.items || []).map(result));
    at('answer-actions').replaceChildren();
    if (lookedFor !== null && (data.items || []).length) { frames.forEach(function (frame) { at('answer-actions').appendChild(showOn(frame, data.items)); }); }
  }

  function note(text, kind) {
    var line = document.createElement('li');
    line.className = kind;
    line.textContent = text;
    return line;
  }

  function leftOut(counts) {
    return Object.keys(counts).filter(function (reason) { return counts[reason] > 0; }).map(function (reason) {
      return note('left out: ' + counts[reason].toLocaleString() + ' ' + reason.replace(/_/g, ' '), 'out');
    });
  }

  function result(item) {
    var card = copy('result'), why = [].concat(item.why || []).join(' · ');
    card.querySelector('a').href = '/photo/' + encodeURIComponent(item.photo) + '/preview';
    card.querySelector('img').src = '/photo/' + encodeURIComponent(item.photo) + '/thumb';
    card.querySelector('img').alt = item.caption || why || 'Photo';
    card.querySelector('.why').textContent = why;
    card.querySelector('.why').title = why;
    return card;
  }

  function showOn(frame, items) {
    var button = document.createElement('button');
    button.type = 'button';
    button.className = 'button quiet';
    button.textContent = 'Show on ' + frame.name;
    button.addEventListener('click', function () {
      attempt(call('playlist/set', { frame: frame.frame, photos: items.map(function (item) { return item.photo; }) }), 'Now on ' + frame.name);
    });
    return button;
  }

  // ---- frames

  function readFrames() {
    return call('frame/list').then(function (answer) {
      frames = itemsOf(answer);
      drawFrames();
    }).catch(function (error) { toast(error.message); });
  }

  function drawFrames() {
    var shown = {};
    [].slice.call(at('frames').children).forEach(function (card) { if (card.dataset.frame) { shown[card.dataset.frame] = card; } });
    at('frames').replaceChildren.apply(at('frames'), frames.map(function (frame) {
      var card = shown[frame.frame] || newCard(frame.frame);
      fillCard(card, frame);
      return card;
    }));
    at('frames').hidden = frames.length === 0;
    at('frames-empty').hidden = frames.length > 0;
    say(at('frames-count'), frames.length ? plural(frames.filter(function (frame) { return frame.online; }).length, 'online', 'online') : '');
    var names = JSON.stringify(frames.map(function (frame) { return [frame.frame, frame.name]; }));
    if (names === named) { return; }   // a choice that is open is not redrawn with every picture
    named = names;
    fillChoice(at('frame'), frames, frames.length ? 'just looking' : 'no frame yet', chosen !== null ? chosen : frames[0] && frames[0].frame);
    nameButton();
    drawPlaylists();
  }

  function newCard(id) {
    var card = copy('frame-card');
    card.dataset.frame = id;
    card.querySelector('.tools').addEventListener('click', function (event) {
      var button = event.target.closest('button');
      if (!button) { return; }
      if (button.classList.contains('get-link')) { openLink(id); } else { command(id, button.dataset.action); }
    });
    card.querySelector('.panel img').addEventListener('error', function (event) { event.target.hidden = true; card.querySelector('.blank').hidden = false; });
    return card;
  }

  function fillCard(card, frame) {
    var name = frame.name || frame.frame, image = card.querySelector('.panel img'), blank = card.querySelector('.blank');
    var sleeping = frame.next_wake && !frame.online && !frame.late;
    say(card.querySelector('h3'), name);
    card.classList.toggle('night', frame.on === false);
    card.classList.toggle('offline', !frame.online && !sleeping);
    var status = card.querySelector('.status');
    status.className = 'status ' + (frame.error ? 'bad' : frame.late ? 'warn' : frame.online ? 'good' : '');
    say(card.querySelector('.status-text'), [frame.error ? 'Problem' : frame.on === false ? 'Night' : frame.online ? (frame.paused ? 'Paused' : 'On') : sleeping ? 'Asleep' : frame.late ? 'Late' : 'Offline',
      typeof frame.battery === 'number' ? Math.round(frame.battery) + ' %' : ''].filter(Boolean).join(' · '));
    var panel = card.querySelector('.panel div'), ratio = frame.width && frame.height ? frame.width / frame.height : 1.6;
    var wide = Math.min(15, 10 * ratio);   // rem: what the card's wall has room for
    panel.style.width = wide + 'rem';
    panel.style.height = wide / ratio + 'rem';
    var address = frame.photo ? '/photo/' + encodeURIComponent(frame.photo) + '/preview' : '';
    if (image.dataset.address !== address) {
      image.dataset.address = address;
      image.hidden = !address;
      blank.hidden = !!address;
      if (address) { image.src = address; } else { image.removeAttribute('src'); }
    }
    image.alt = frame.caption || 'Picture on ' + name;
    say(blank, address ? 'The picture cannot be loaded' : 'Nothing yet. Ask for something above.');
    say(card.querySelector('.playing'), frame.playlist_name ? frame.playlist_name + (frame.count ? ' · ' + (frame.position || 1) + ' of ' + frame.count : '') : 'No playlist');
    say(card.querySelector('.why'), frame.error || frame.why || frame.caption || '');
    card.querySelector('.tool').href = '/frame/' + encodeURIComponent(frame.frame) + '?look=1';
    var pause = card.querySelector('[data-action=pause],[data-action=resume]'), label = frame.paused ? 'Resume' : 'Pause';
    pause.dataset.action = label.toLowerCase();
    pause.title = label;
    pause.setAttribute('aria-label', label);
    pause.querySelector('use').setAttribute('href', '#i-' + label.toLowerCase());
    card.querySelector('.tools').setAttribute('aria-label', name);
    [].forEach.call(card.querySelectorAll('[data-action]'), function (button) { button.disabled = !frame.photo; });
  }

  var SAID = { favourite: 'Added to favourites', hide: 'This picture will not be shown again', pause: 'Paused', resume: 'Playing' };
  function command(frame, action) { attempt(call('frame/' + frame + '/cmd', { action: action }), SAID[action]); }

  function fillChoice(select, list, first, chosen) {
    select.replaceChildren.apply(select, list.map(function (frame) { return new Option(frame.name || frame.frame, frame.frame); }).concat(new Option(first, JUST_LOOK)));
    select.value = list.some(function (frame) { return frame.frame === chosen; }) ? chosen : JUST_LOOK;
  }

  function openLink(id) {
    var frame = frames.filter(function (one) { return one.frame === id; })[0] || {};
    say(at('link-title'), 'Link for ' + (frame.name || id));
    at('link-address').value = frame.link || location.origin + '/frame/' + id;
    at('link').showModal();
    at('link-address').select();
  }
  at('link-copy').addEventListener('click', function () {
    var box = at('link-address');
    box.select();
    var copied = navigator.clipboard ? navigator.clipboard.writeText(box.value) : Promise.reject(new Error('no clipboard here'));
    copied.catch(function () { if (!document.execCommand('copy')) { throw new Error('Copy it with your keyboard.'); } })   // http has no clipboard API
      .then(function () { at('link').close(); toast('Copied'); }, function (error) { toast(error.message); });
  });
  at('frame-add').addEventListener('submit', function (event) {
    event.preventDefault();
    attempt(call('frame/add', { name: at('frame-name').value.trim() }).then(readFrames), 'Frame added');
  });

  // ---- playlists

  function readPlaylists() {
    return call('playlist/list').then(function (answer) { playlists = itemsOf(answer); drawPlaylists(); }).catch(function (error) { toast(error.message); });
  }

  function drawPlaylists() {
    at('playlists').hidden = playlists.length === 0;
    at('playlists-empty').hidden = playlists.length > 0;
    say(at('playlists-count'), playlists.length ? String(playlists.length) : '');
    if (at('playlists').contains(document.activeElement)) { return; }   // not under somebody's hands
    at('playlists').replaceChildren.apply(at('playlists'), playlists.map(playlistRow));
  }

  function playlistRow(playlist) {
    var row = copy('playlist-row'), choice = row.querySelector('select');
    row.querySelector('strong').textContent = playlist.name;
    row.querySelector('.muted').textContent = [plural(playlist.count || 0, 'picture', 'pictures'), when(playlist.updated)].filter(Boolean).join(' · ');
    choice.appendChild(new Option('Play on…', ''));
    frames.forEach(function (frame) { choice.appendChild(new Option(frame.name || frame.frame, frame.frame)); });
    choice.setAttribute('aria-label', 'Play ' + playlist.name + ' on');
    choice.disabled = frames.length === 0;
    choice.addEventListener('change', function () {
      var frame = choice.value, name = choice.selectedOptions[0].textContent;
      choice.value = '';
      choice.blur();
      if (frame) { attempt(call('playlist/set', { frame: frame, id: playlist.id }), 'Now on ' + name); }
    });
    row.querySelector('.rename').addEventListener('click', function () { renaming = playlist; at('rename-name').value = playlist.name; at('rename').returnValue = ''; at('rename').showModal(); at('rename-name').select(); });
    row.querySelector('.delete').addEventListener('click', function () {
      deleting = playlist;
      say(at('confirm-title'), 'Delete “' + playlist.name + '”?');
      say(at('confirm-text'), 'The photos stay. A frame that plays it keeps its picture.');
      at('confirm').returnValue = '';
      at('confirm').showModal();
    });
    return row;
  }

  var renaming = null, deleting = null;
  at('rename').addEventListener('close', function () {
    var name = at('rename-name').value.trim();
    if (at('rename').returnValue === 'ok' && name && renaming) { attempt(call('playlist/save', { id: renaming.id, name: name }).then(readPlaylists), 'Renamed'); }
  });
  at('rename-form').addEventListener('keydown', function (event) {   // Enter would press the first button, Cancel
    if (event.key === 'Enter' && event.target.id === 'rename-name') { event.preventDefault(); if (at('rename-form').reportValidity()) { at('rename').close('ok'); } }
  });
  at('confirm').addEventListener('close', function () {
    if (at('confirm').returnValue === 'ok' && deleting) { attempt(call('playlist/delete', { id: deleting.id }).then(readPlaylists), 'Deleted'); }
  });

  // ---- the library

  var failedCount = -1;

  function drawLibrary(library) {
    var photos = library.photos || 0, analysed = library.analysed || 0;
    ['photos', 'analysed', 'pending', 'people'].forEach(function (key) { say(at(key), (library[key] || 0).toLocaleString()); });
    var percent = photos ? Math.round(100 * analysed / photos) : 0;
    fill(at('library-fill'), percent);
    at('library-bar').setAttribute('aria-valuenow', String(percent));
    say(at('scan'), library.scanning ? 'looking for photos' : '');
    say(at('library-text'), photos === 0 ? (library.scanning ? 'Looking through your photo folders for the first time.' : 'No photos yet. Put photos into one of the folders that config.yaml names under “library”.')
      : library.pending ? 'Getting to know your photos' + (library.eta_s ? ', about ' + duration(library.eta_s) + ' left.' : '.') : 'Everything is known. New photos are noticed by themselves.');
    var failed = library.failed || 0;
    at('failed').hidden = failed === 0;
    say(at('failed-count'), plural(failed, 'photo', 'photos') + ' could not be read');
    if (failed !== failedCount) { failedCount = failed; if (at('failed').open) { readFailed(); } }
  }

  at('failed').addEventListener('toggle', function () { if (at('failed').open) { readFailed(); } });
  function readFailed() {
    call('photo/list', { state: 'failed', limit: 100 }).then(function (answer) {
      at('failed-list').replaceChildren.apply(at('failed-list'), itemsOf(answer).map(function (photo) {
        var row = document.createElement('li'), name = document.createElement('strong'), reason = document.createElement('div');
        name.textContent = photo.path || photo.name || photo.photo;
        reason.className = 'muted';
        reason.textContent = photo.reason || (photo.error && photo.error.message) || 'No reason was kept.';
        row.appendChild(name);
        row.appendChild(reason);
        return row;
      }));
    }).catch(function (error) { toast(error.message); });
  }

  function fill(bar, percent) { bar.style.width = Math.max(0, Math.min(100, percent)) + '%'; }
  function duration(seconds) { return seconds < 90 ? Math.max(1, Math.round(seconds)) + ' s' : seconds < 5400 ? Math.round(seconds / 60) + ' min' : Math.round(seconds / 3600) + ' h'; }
  function when(time) {
    var date = new Date(time);
    return time && !isNaN(date) ? date.toLocaleDateString(undefined, { day: 'numeric', month: 'short', year: date.getFullYear() === new Date().getFullYear() ? undefined : 'numeric' }) : '';
  }

  // ---- the line to framed

  var stream = null, wait = 1000;
  function connect() {
    stream = new EventSource('/api/v1/events');
    stream.onopen = function () { wait = 1000; lineIs('good', 'Connected'); readFrames(); readPlaylists(); };
    stream.addEventListener('library', function (event) { drawLibrary(JSON.parse(event.data)); });
    stream.addEventListener('frame', function (event) {
      var state = JSON.parse(event.data), known = false;
      frames = frames.map(function (frame) {
        if (frame.frame !== state.frame) { return frame; }
        known = true;
        return Object.assign({}, state, { link: frame.link });   // the new state whole: a key that is gone is gone
      });
      if (known) { drawFrames(); } else { readFrames(); }
    });
    stream.addEventListener('frames', readFrames);
    stream.addEventListener('playlists', readPlaylists);
    stream.addEventListener('bye', lost);
    stream.onerror = lost;
  }
  function lost() {
    if (!stream) { return; }
    stream.close();
    stream = null;
    lineIs('bad', 'Reconnecting');
    setTimeout(connect, wait);
    wait = Math.min(30000, wait * 2);
  }
  function lineIs(kind, text) { at('line').className = 'status ' + kind; say(at('line-text'), text); }

  at('sign-out').addEventListener('click', function () {
    fetch('/logout', { method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: '{}' })
      .then(function () { location.replace('/login'); }, function () { toast('framed is not answering. Is the server running?'); });
  });

  fillChoice(at('frame'), [], 'just looking', JUST_LOOK);
  nameButton();
  connect();
})();
