import type { RunRequest } from '@millrace/providers/provider'
import type { ConformanceInput } from './conformance-run.ts'
import * as http from './hosts/recipes-http.ts'

/** Where a recipe of docs/hosts.md is aimed when it is run as written, what it is given and what it answers. */
export const recipes: Record<string, Recipe> = {
  'models/summarise.yaml': {
    open: http.openSummariser,
    input: { text: 'A mill by the river grinds all day.', words: 12 },
    output: 'A mill by the river grinds all day. (12 words at most)',
  },
  'models/gemma.yaml': {
    open: http.openOllama,
    input: { prompt: 'turn the wheel' },
    output: 'turn the wheel',
  },
  'models/comfyui.yaml': {
    open: http.openComfyui,
    input: { prompt: 'a mill', seed: 7 },
    output: [{ name: 'view.png', bytes: 'a mill, seed 7, 20 steps' }],
  },
  'models/web-search.yaml': {
    open: http.openSearxng,
    input: { query: 'mills', page: 2 },
    output: [
      { title: 'mills, page 2', url: 'https://mills.example/', content: 'About mills', engine: 'one' },
    ],
  },
  'models/read-document.yaml': {
    open: http.openDocling,
    input: { document: 'data:text/html,%3Ch1%3EMills%3C/h1%3E' },
    output: '# <h1>Mills</h1>',
  },
  'models/render.yaml': {
    open: http.openRenderer,
    input: { scene: 'data:text/plain,a%20wheel' },
    output: { name: 'v1.mp4', bytes: 'a film of data:text/plain,a%20wheel' },
  },
}

/** A recipe beside its host. */
export interface Recipe {
  open(): Promise<RecipeHost>
  input: ConformanceInput | Record<string, unknown>
  /** Each file as its name and what is in it. */
  output: unknown
}

/** A fake of what the recipe drives. */
export interface RecipeHost {
  /** The variables that the recipe names, its address among them. */
  environment: Record<string, string>
  /** For recipes that name an address of the vendor's: what stands in its place in `provider`. */
  settings?: Record<string, unknown>
  callback?: RunRequest['callback']
  close(): void
}
