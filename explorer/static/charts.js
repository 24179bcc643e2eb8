// Charts that answer: the pointer reads a period, a drag zooms in, a double click shows all of it again; by keys arrows read, + and - zoom,
// Escape shows all. Where no script runs, the same lines stand there as SVG; until a reader points at one or presses such a key, too, and
// only then is uPlot asked for.
'use strict'
const { uplot, style } = document.currentScript.dataset
const drawn = new WeakMap()
const FULL = 40 / 38
const SMALL = { maximumSignificantDigits: 3 }
const LARGE = { maximumFractionDigits: 3 }

const colour = (box, look) => getComputedStyle(box.parentNode.querySelector(`.sw.${look}`) || box).color
const faint = (shade) => `color-mix(in srgb, ${shade} 12%, transparent)`

// Times in seconds, then the values of each line; steps end with the last period, bars stand in the middle of theirs.
const columns = (facts) => {
  const count = facts.lines[0][2].length
  const steps = facts.kind === 'steps'
  const at = (n) => facts.start + (steps ? n : n + 0.5) * facts.step
  const times = Array.from({ length: steps ? count + 1 : count }, (_, n) => at(n))
  return [times, ...facts.lines.map((line) => steps ? [...line[2], line[2][count - 1]] : line[2])]
}
const whole = (facts) => ({ min: facts.start, max: facts.start + facts.lines[0][2].length * facts.step })

const time = (seconds, step) => {
  const text = new Date(seconds * 1000).toISOString()
  return step >= 86400 ? text.slice(0, 10) : step >= 900 ? text.slice(5, 16).replace('T', ' ') : text.slice(11, 19)
}
const read = (it, place) => {
  const period = it.facts.kind === 'steps' ? place : place + 0.5
  const values = it.facts.lines.map((line, n) => [line[0], it.plot.data[n + 1][place]]).filter(([, value]) => value !== null)
  const said = values.map(([name, value]) => `${name} ${value.toLocaleString('en', value < 1 ? SMALL : LARGE)}`)
  return [time(it.facts.start + Math.floor(period) * it.facts.step, it.facts.step), ...said].join(' · ')
}

const series = (box, line, n, facts) => {
  const shade = () => colour(box, line[1])
  const many = facts.lines.length
  if (facts.kind === 'bars') {
    const align = many === 1 ? 0 : n === 0 ? -1 : 1
    return { fill: shade, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8 / many, 1000], align }) }
  }
  const fill = n === 0 && !line[2].includes(null) ? () => faint(shade()) : undefined
  return { stroke: shade, fill, width: 1.5, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) }
}

const begin = (box) => {
  const it = { facts: null, plot: null, zoomed: false }
  const svg = box.querySelector('svg')
  const out = box.parentNode.querySelector('[data-at]')
  const show = (facts) => { it.zoomed = false; it.plot.setScale('x', whole(facts)) }
  it.take = () => {
    if (it.text === box.dataset.plot) return
    it.text = box.dataset.plot
    it.facts = JSON.parse(it.text)
    if (!it.plot) return
    it.plot.setData(columns(it.facts), false)
    if (!it.zoomed) show(it.facts)
    it.plot.redraw(true)
  }
  it.away = () => it.plot.setCursor({ left: -10, top: -10 })
  it.zoom = (factor) => {
    const [{ min, max }, all] = [it.plot.scales.x, whole(it.facts)]
    const length = Math.min((max - min) * factor, all.max - all.min)
    const middle = it.plot.cursor.idx === null ? (min + max) / 2 : it.plot.data[0][it.plot.cursor.idx]
    const from = Math.max(all.min, Math.min(middle - length / 2, all.max - length))
    it.zoomed = length < all.max - all.min
    it.plot.setScale('x', { min: from, max: from + length })
  }
  it.press = (key) => {
    if (key === 'Escape') {
      show(it.facts)
      it.away()
    } else if (key === '+' || key === '=') it.zoom(0.5)
    else if (key === '-') it.zoom(2)
    else {
      const [times, { min, max }] = [it.plot.data[0], it.plot.scales.x]
      const seen = times.map((_, n) => n).filter((n) => times[n] >= min && times[n] <= max)
      const at = seen.indexOf(it.plot.cursor.idx)
      const next = key === 'ArrowRight' ? at + 1 : at < 0 ? seen.length - 1 : at - 1
      it.plot.setCursor({ left: it.plot.valToPos(times[seen[Math.max(0, Math.min(next, seen.length - 1))]], 'x'), top: 0 })
    }
  }
  it.take()
  it.plot = new uPlot({
    width: svg.clientWidth,
    height: svg.clientHeight,
    padding: [0, 0, 0, 0],
    legend: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: {
      x: { time: false, range: (_, min, max) => [min, max] },
      y: { range: () => [0, (Math.max(0, ...it.facts.lines.flatMap((line) => line[2])) || 1) * FULL] },
    },
    series: [{}, ...it.facts.lines.map((line, n) => series(box, line, n, it.facts))],
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: true, y: false },
      bind: { dblclick: () => () => show(it.facts) },
    },
    hooks: {
      setSelect: [(plot) => { it.zoomed = plot.select.width > 0 }],
      setCursor: [(plot) => { out.textContent = plot.cursor.idx === null || plot.cursor.left < 0 ? '' : read(it, plot.cursor.idx) }],
    },
  }, columns(it.facts), box.querySelector('.u'))
  show(it.facts)
  new ResizeObserver(() => {
    if (svg.clientWidth) it.plot.setSize({ width: svg.clientWidth, height: svg.clientHeight })
  }).observe(box)
  return it
}

const draw = () => {
  for (const box of document.querySelectorAll('[data-plot]')) {
    const it = drawn.get(box)
    if (it) it.take()
    else drawn.set(box, begin(box))
  }
}
const redraw = () => {
  for (const box of document.querySelectorAll('[data-plot]')) drawn.get(box)?.plot.redraw(false)
}
const fetched = (tag, facts) => new Promise((resolve, reject) => {
  document.head.append(Object.assign(document.createElement(tag), facts, { onload: resolve, onerror: reject }))
})
let ready
const ask = () => ready ||= Promise.all([fetched('link', { rel: 'stylesheet', href: style }), fetched('script', { src: uplot })]).then(() => {
  draw()
  document.addEventListener('htmx:after:swap', draw)
})
document.addEventListener('pointerover', (event) => { if (event.target.closest?.('[data-plot]')) ask() })
document.addEventListener('keydown', async (event) => {
  const box = event.target.closest?.('[data-plot]')
  if (!box || event.ctrlKey || event.metaKey || event.altKey || !/^(ArrowLeft|ArrowRight|Escape|[+=-])$/.test(event.key)) return
  event.preventDefault()
  await ask()
  drawn.get(box)?.press(event.key)
})
document.addEventListener('focusout', (event) => { drawn.get(event.target)?.away() })
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ['data-theme'] })
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
