import type { z } from 'zod'
import type { ErrorId } from './errors.ts'
import type { RequestHeader } from './request-headers.ts'
import type { Scope } from './scopes.ts'
import type { Tag } from './tags.ts'

/** One endpoint, as data. Paths have `{name}` parameters; `open` ones need no key. */
export interface EndpointDefinition {
  method: Method
  path: string
  tag: Tag
  summary: string
  /** What its summary leaves open, in a sentence or three. */
  description: string
  open?: true
  /** What a key must be allowed to do. */
  scope?: Scope
  /**
   * When a request counts in the rates of its caller, where not as soon as it is known who that is: `later`, when its deed
   * has found that it is no repeat of an earlier one; `never`, since it follows, stops or fetches what was accepted.
   */
  counted?: 'later' | 'never'
  upload?: true
  /** The body is taken as it comes. */
  anyBody?: true
  /** The body may come as multipart/form-data, too, with one file in the part of this name. */
  formFile?: string
  /** The shape of its errors, where that is not the one of `errorBody`. */
  envelope?: 'inference' | 'anthropic'
  /** Clients that send `anthropic-version` are answered as those of Anthropic, errors included. */
  anthropicToo?: true
  aliases?: readonly { method: Method; path: string; dialect?: string }[]
  params?: z.ZodObject
  query?: z.ZodObject
  headers?: readonly RequestHeader[]
  body?: z.ZodObject
  /** A body that works as it is on a fresh installation. */
  example?: Readonly<Record<string, unknown>>
  fieldErrors?: Readonly<Record<string, ErrorId>>
  errors: readonly ErrorId[]
  replies: Readonly<Record<number, Reply>>
}

export interface Reply {
  description: string
  schema?: z.ZodType
  stream?: true
  ndjson?: true
  /** Or a row a line, as NDJSON or CSV. */
  rows?: true
  binary?: true
  /** Or plain text. */
  text?: true
  html?: true
  /** Markdown, under this content type. */
  markdown?: 'text/plain' | 'text/markdown'
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
