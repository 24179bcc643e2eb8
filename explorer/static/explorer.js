// What the pages do beyond being read: theme, copying, keys, local times, following the ledger, and checking an event without us.
// Everything is in the page without it.
'use strict'
const page = document
const all = (selector, root = page) => [...root.querySelectorAll(selector)]
const say = (text) => {
  const toast = page.querySelector('.toast')
  toast.textContent = text
  toast.hidden = false
  clearTimeout(say.timer)
  say.timer = setTimeout(() => { toast.hidden = true }, 2000)
}

// Theme: of the system, light, dark. The server reads the cookie, so that no page flashes.
const THEMES = ['', 'light', 'dark']
const theme = () => page.documentElement.dataset.theme || ''
const setTheme = (name) => {
  if (name) page.documentElement.dataset.theme = name
  else delete page.documentElement.dataset.theme
  page.cookie = `theme=${name};path=/;max-age=${name ? 31536000 : 0};samesite=lax`
  say(`Theme: ${name || 'system'}`)
}

const copied = (text) => {
  navigator.clipboard?.writeText(text)
  say(`Copied ${text.length > 40 ? text.slice(0, 20) + '…' : text}`)
}
page.addEventListener('click', (event) => {
  const copy = event.target.closest('[data-copy]')
  if (copy) copied(copy.dataset.copy)
  if (event.target.closest('[data-theme-switch]')) setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length])
  if (event.target.closest('[data-pause]')) follow.pause(!follow.paused)
  const button = event.target.closest('[data-verify]')
  if (button) verify(button)
  const head = event.target.closest('[data-consistent]')
  if (head) compare(head)
})
page.addEventListener('input', (event) => {
  const slider = event.target.closest('.sl')
  if (slider) slider.style.setProperty('--x', `${event.target.value}%`)
})

// Keys: / searches, j and k go through the rows of tables, c copies the id of the row, n goes to the next page, p pauses.
page.addEventListener('keydown', (event) => {
  if (/INPUT|SELECT|TEXTAREA/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === '/') {
    event.preventDefault()
    page.querySelector('.find input').focus()
  } else if (event.key === 'p') follow.pause(!follow.paused)
  else if (event.key === 'n') page.querySelector('main [rel=next]')?.click()
  else if (event.key === 'c' && page.activeElement.matches('a.m')) copied(page.activeElement.textContent.replace('#', ''))
  else if (event.key === 'j' || event.key === 'k') {
    const rows = all('tbody tr > td:first-child a, .rows a, .cell')
    const at = rows.indexOf(page.activeElement)
    rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === 'j' ? 1 : -1)))]?.focus()
  }
})

// Times are UTC; the reader's own stands in the hint, and so does a country's name in his language.
page.addEventListener('mouseover', (event) => {
  const place = event.target.closest?.('[data-country]')
  if (place && !place.dataset.named) {
    place.dataset.named = new Intl.DisplayNames(undefined, { type: 'region' }).of(place.dataset.country)
    if (place.namespaceURI === page.documentElement.namespaceURI) place.title = place.dataset.named
    else place.append(Object.assign(page.createElementNS(place.namespaceURI, 'title'), { textContent: place.dataset.named }))
  }
  const time = event.target.closest?.('time')
  if (time && !time.title) time.title = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' })
})

// Following the ledger: when an event concerns the page, what changes of it is fetched again, twice a second at most. What could not be
// fetched is asked for again, and until then the page stays as it is; so is what was fetched before the views had the event.
const GAP_MS = 500
const AGAIN_MS = 2000
const TICK_MS = 1000
const follow = {
  source: null, position: 0, wanted: 0, missed: 0, paused: false, cut: false, timer: 0, fetching: false, next: 0,
  begin () {
    const live = page.getElementById('live')
    if (!live || live.dataset.follow === undefined) return
    this.position = Number(live.dataset.position)
    this.about = live.dataset.follow
    this.listen()
    setInterval(() => { if (page.querySelector('[data-tick]') && !page.hidden) this.refresh() }, TICK_MS)
    page.addEventListener('htmx:before:swap', () => this.hold())
    page.addEventListener('htmx:after:swap', () => this.settle())
    page.addEventListener('visibilitychange', () => { if (page.hidden) this.source.close(); else this.listen() })
    page.addEventListener('mouseout', () => { if (this.missed && !this.held()) this.due() })
  },
  // A browser comes again by itself when the connection breaks, but not when it was told no: then we do, from where it was. A page that
  // nobody sees has none: a browser opens six to one server, and the seventh page would never come.
  listen () {
    this.source?.close()
    this.source = new EventSource(`/v1/live?after=${this.position}`)
    this.source.onopen = () => {
      if (this.cut || this.missed) this.refresh()
      this.cut = false
    }
    this.source.onerror = () => {
      this.cut = true
      this.tell()
      if (this.source.readyState === EventSource.CLOSED) setTimeout(() => { if (!page.hidden) this.listen() }, AGAIN_MS)
    }
    this.source.onmessage = (message) => {
      this.position = Number(message.lastEventId)
      if (!this.concerns(message)) return
      this.wanted = this.position
      this.due()
    }
  },
  concerns (message) {
    if (!this.about) return true
    const at = message.data.indexOf(this.about)
    return at >= 0 && !/[0-9]/.test(message.data[at + this.about.length])
  },
  held () {
    return this.paused || page.hidden || Boolean(page.querySelector('[data-live]:hover, [data-live] :focus-visible, .fresh input:focus'))
  },
  due () {
    this.missed += 1
    this.refresh()
  },
  refresh () {
    if (this.held()) return this.tell()
    if (this.timer || this.fetching) return
    this.timer = setTimeout(() => this.fetch(), Math.max(0, this.next - performance.now()))
  },
  async fetch () {
    this.timer = 0
    if (this.held()) return this.tell()
    this.fetching = true
    this.next = performance.now() + GAP_MS
    const due = this.missed
    let stands = -1
    const whole = async (...asked) => {
      const answer = await fetch(...asked)
      if (!answer.ok) throw new Error(`the server said ${answer.status}`)
      const text = await answer.text()
      stands = Number(answer.headers.get('gridledger-position'))
      return new Response(text, answer)
    }
    const place = { target: '#live', select: '#live > *', swap: 'innerMorph', fetch: whole }
    await htmx.ajax('GET', location.pathname + location.search, place)
    this.fetching = false
    if (stands >= this.wanted) this.missed -= due
    else if (stands < 0) this.next += AGAIN_MS
    this.tell()
    if (this.missed) this.refresh()
  },
  // What somebody reads who went down the page stays where it is, whatever comes in above it.
  hold () {
    const top = (each) => each.getBoundingClientRect().top
    const read = scrollY > 0 ? all('main :is(tr[id], section)').find((each) => top(each) > 0) : undefined
    const at = read && top(read)
    this.settle = () => { if (read?.isConnected) scrollBy({ top: top(read) - at, behavior: 'instant' }) }
  },
  settle () {},
  pause (paused) {
    this.paused = paused
    this.tell()
    if (!paused && this.missed) this.refresh()
  },
  tell () {
    for (const each of all('.fresh .live')) each.hidden = this.cut === (each.dataset.cut === undefined)
    for (const button of all('[data-pause]')) {
      button.textContent = this.paused ? (this.missed ? `${this.missed} new` : 'Resume') : 'Pause'
      button.title = this.paused ? 'Show it and go on' : ''
      button.setAttribute('aria-pressed', String(this.paused))
    }
  },
}

// An event is in the log if its line, hashed with the hashes beside its way up the tree, comes to the root (RFC 6962).
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16))
const sha = async (...parts) => new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()))
const rootOf = async (leaf, index, size, path) => {
  let node = await sha(Uint8Array.of(0), leaf)
  let last = size - 1
  for (const each of path) {
    if (last === 0) throw new Error('the path is too long')
    const sibling = unhex(each)
    if (index % 2 === 1 || index === last) {
      node = await sha(Uint8Array.of(1), sibling, node)
      while (index % 2 === 0 && index !== 0) { index = Math.floor(index / 2); last = Math.floor(last / 2) }
    } else node = await sha(Uint8Array.of(1), node, sibling)
    index = Math.floor(index / 2)
    last = Math.floor(last / 2)
  }
  if (last !== 0) throw new Error('the path is too short')
  return hex(node)
}
const verify = async (button) => {
  const answer = page.querySelector('[data-verified]')
  const position = Number(button.dataset.verify)
  try {
    const asked = [`/v1/events/${position}`, `/v1/proof/${position}`].map((path) => fetch(path))
    const [line, proof] = await Promise.all(asked)
    if (!line.ok || !proof.ok) throw new Error('the server gave no proof')
    const shown = page.querySelector('[data-line]').textContent
    const { size, root, path } = await proof.json()
    const found = await rootOf(new TextEncoder().encode(shown), position - 1, size, path)
    const same = await line.text() === shown
    const good = found === root && same
    answer.className = `st ${good ? 'accepted' : 'rejected'}`
    answer.textContent = good
      ? `Your browser hashed these bytes with ${path.length} siblings and came to the root of ${size} events: ${root}`
      : `These bytes do not lead to the root ${root}: they come to ${found}`
  } catch (reason) {
    answer.className = 'st rejected'
    answer.textContent = `Not verified: ${reason.message}`
  }
}

// A later head keeps everything that an earlier one had, if both come out of one path (RFC 9162 §2.1.4.2).
const halved = (n) => Math.floor(n / 2)
const rootsOf = async (first, second, root, path) => {
  let odd = first
  while (odd % 2 === 0) odd = halved(odd)
  const [begin, ...rest] = odd === 1 ? [root, ...path] : path
  if (begin === undefined) throw new Error('the path is too short')
  let [index, last] = [first - 1, second - 1]
  while (index % 2 === 1) [index, last] = [halved(index), halved(last)]
  let [before, after] = [unhex(begin), unhex(begin)]
  for (const each of rest) {
    if (last === 0) throw new Error('the path is too long')
    const sibling = unhex(each)
    if (index % 2 === 1 || index === last) {
      before = await sha(Uint8Array.of(1), sibling, before)
      after = await sha(Uint8Array.of(1), sibling, after)
      while (index % 2 === 0 && index !== 0) [index, last] = [halved(index), halved(last)]
    } else after = await sha(Uint8Array.of(1), after, sibling)
    index = halved(index)
    last = halved(last)
  }
  if (last !== 0) throw new Error('the path is too short')
  return [hex(before), hex(after)]
}
const compare = async (button) => {
  const answer = page.querySelector('[data-compared]')
  const { consistent, root } = button.dataset
  try {
    const asked = await fetch(`/v1/proof/consistency?first=${consistent}`)
    if (!asked.ok) throw new Error('the server gave no proof')
    const proof = await asked.json()
    const same = proof.first === proof.second
    const found = same ? [proof.first_root, proof.second_root] : await rootsOf(Number(consistent), proof.second, root, proof.path)
    const good = found[0] === root && found[1] === proof.second_root
    answer.className = `st ${good ? 'accepted' : 'rejected'}`
    answer.textContent = good
      ? `The tree of ${proof.second} events begins with the ${consistent} on the chain: your browser hashed both roots from ${proof.path.length} nodes`
      : `The tree of ${proof.second} events does not begin with the ${consistent} on the chain`
  } catch (reason) {
    answer.className = 'st rejected'
    answer.textContent = `Not compared: ${reason.message}`
  }
}

page.addEventListener('DOMContentLoaded', () => {
  follow.begin()
  const here = page.querySelector('.nav [aria-current]')
  if (here) here.parentNode.scrollLeft = here.offsetLeft - here.parentNode.offsetLeft - 120
})
