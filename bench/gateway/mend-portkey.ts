import { registerHooks } from 'node:module'

const broken = ':new Response(p,e)}const Ad='
const mended =
  ':new Response(p,{status:e.status,statusText:e.statusText,headers:new Headers(e.headers)})}const Ad='

// Loaded before Portkey's program, of which one expression is changed: as it is published, it answers every streamed
// request with 500 ("TypeError: immutable"), since it adds to headers that are not its own
// (https://github.com/Portkey-AI/gateway/issues/1389). With a copy of the headers it streams.
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!url.endsWith('/@portkey-ai/gateway/build/start-server.js')) return loaded
    const source =
      typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source ?? undefined)
    if (source.split(broken).length !== 2) throw new Error('this version of Portkey is another one to mend')
    return { ...loaded, source: source.replace(broken, mended) }
  },
})
