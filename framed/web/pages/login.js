// Signing in; and noticing that one is: a strict cookie stays away from the first request after another site's link.
(function () {
  'use strict';
  var form = document.getElementById('form'), problem = document.getElementById('problem');

  fetch('/session', { credentials: 'same-origin' }).then(function (answer) { return answer.json(); }).then(function (session) {
    if (session.signed_in) { location.replace('/'); }
  }).catch(function () { say('framed is not answering. Is the server running?'); });

  function say(text) { problem.textContent = text; problem.hidden = false; }

  form.addEventListener('submit', function (event) {
    event.preventDefault();
    problem.hidden = true;
    fetch('/login', {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token: form.elements.token.value })
    }).then(function (answer) {
      if (answer.ok) { location.replace('/'); return null; }
      return answer.json().then(function (body) { say(body.error.message); });
    }).catch(function () { say('framed is not answering. Is the server running?'); });
  });
})();
