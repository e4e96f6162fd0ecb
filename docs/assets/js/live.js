// Run, edit and reset the blocks of a served page, in a Python of the page's own (docs/hooks/live.py).
(() => {
  const { content: token, dataset } = document.querySelector('meta[name=live]')
  const id = Math.random().toString(36).slice(2) + Date.now()
  const blocks = []
  let busy = null

  const ask = async (asked, options) => {
    const body = JSON.stringify({ id, page: dataset.page, ...asked })
    const answer = await fetch('/.live', { method: 'POST', headers: { 'X-Token': token }, body, ...options })
    if (!answer.ok) throw Error(answer.status === 403 ? 'the server has been started anew; load this page again' : answer.status)
    return answer.json()
  }
  addEventListener('pagehide', () => ask({ do: 'close' }, { keepalive: true }).catch(() => {}))

  const make = (tag, properties, parent) => {
    const element = Object.assign(document.createElement(tag), properties)
    parent?.append(element)
    return element
  }
  const typed = (block) => {
    const copy = block.querySelector('code').cloneNode(true)
    copy.querySelectorAll('.gp, .out').forEach((element) => element.remove())
    return copy.textContent.trimEnd()
  }
  const show = (out, shown) => {
    out.replaceChildren()
    for (const [kind, text] of shown) {
      if (kind === 'svg') make('figure', { className: 'plot', innerHTML: text }, out)
      else make('pre', { className: kind.replace(' ', '-'), textContent: text }, out)
    }
  }

  const cell = (block, host, note) => {
    const number = host.dataset.number ? `exercise ${host.dataset.number}` : blocks.length
    const what = host.dataset.number ? `your answer to ${number}` : `block ${number + 1}`
    const kept = host.dataset.number && `live ${location.pathname} ${host.dataset.number}`
    const own = block ? typed(block) : ''
    const above = [...blocks]
    const area = make('textarea', { spellcheck: false, autocapitalize: 'off', hidden: !!block, rows: 3 }, host)
    const bar = make('div', { className: 'bar' }, host)
    const out = make('div', { className: 'came', ariaLive: 'polite' }, host)
    const edited = () => area.value !== own
    const code = () => [number, area.value, edited()]
    const button = (text, onclick) => make('button', { type: 'button', textContent: text, onclick, ariaLabel: `${text}: ${what}` }, bar)

    const work = async (asked, by, again) => {
      if (busy) return busy === by && ask({ do: 'stop' })
      busy = by
      document.body.classList.add('live-busy')
      Object.assign(by, { textContent: 'Stop', ariaLabel: `Stop: ${what}` }).classList.add('stop')
      show(out, [['note', 'Running, and first what stands above and has not run yet …']])
      try {
        const shown = await ask(asked)
        show(out, shown.length ? shown : [['note', 'Done. There is nothing to show.']])
      } catch (error) {
        show(out, [['error', `No answer: ${error.message}`]])
      }
      busy = null
      document.body.classList.remove('live-busy')
      Object.assign(by, { textContent: again, ariaLabel: `${again}: ${what}` }).classList.remove('stop')
      reset.hidden = false
    }
    const go = () => work({ do: 'run', above: above.map((code) => code()), code: area.value, edited: !block || edited(), number }, run, 'Run')
    const grow = () => {
      area.style.height = 'auto'
      area.style.height = `${area.scrollHeight + 2}px`
    }
    const open = (opened) => {
      if (block) area.hidden = !(block.hidden = note.hidden = opened)
      if (opened) grow()
    }
    const leave = () => {
      if (block && !edited()) open(false)
      const back = edit ?? run
      back.focus()
    }

    const run = button('Run', go)
    const edit = block && button('Edit', () => (open(true), area.focus()))
    if (host.dataset.check) {
      const check = button('Check', () => work({ do: 'check', code: area.value, number: host.dataset.number }, check, 'Check'))
    }
    const reset = button('Reset', () => {
      area.value = own
      area.oninput()
      if (block) open(false)
      show(out, [])
      reset.hidden = true
      run.focus()
    })
    area.ariaLabel = `Code of ${what}. Control and Enter runs it, Escape leaves it.`
    area.placeholder = block ? '' : host.dataset.check ? `Define ${host.dataset.check.replaceAll(' ', ' and ')} here.` : 'Try it here.'
    area.value = (kept && localStorage.getItem(kept)) || own
    area.oninput = () => {
      grow()
      reset.hidden = !edited() && !out.firstChild
      if (kept) localStorage.setItem(kept, area.value)
    }
    area.onkeydown = (event) => {
      const line = area.value.slice(0, area.selectionStart).split('\n').pop()
      const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(':') ? '    ' : '')
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) busy || go()
      else if (event.key === 'Enter' && indent) document.execCommand('insertText', false, `\n${indent}`)
      else if (event.key === 'Tab' && !event.shiftKey) document.execCommand('insertText', false, '    ')
      else if (event.key === 'Escape') leave()
      else return
      event.preventDefault()
    }
    reset.hidden = !edited()
    if (!block) grow()
    else blocks.push(code)
  }

  for (const found of document.querySelectorAll('.md-content .highlight, .live.exercise')) {
    if (found.matches('.exercise')) cell(null, found)
    else if (found.querySelector('.gp')) {
      const note = found.nextElementSibling?.matches('.band') ? found.nextElementSibling : found
      const host = make('div', { className: 'live' })
      note.after(host)
      cell(found, host, note)
    }
  }
})()
