import { z } from 'zod'
import type { EndpointDefinition } from '../endpoint.ts'

/** What is of the service itself: its state, its reference and the reports of hosts. */
export const serviceEndpoints = {
  takeCallback: {
    method: 'post',
    path: '/v1/callbacks/{token}',
    tag: 'Service',
    summary: 'Where a host reports of the job it does for a prediction',
    open: true,
    anyBody: true,
    example: { status: 'done' },
    params: z.object({ token: z.string().describe('Signed; part of the address the host was given') }),
    errors: ['PREDICTION_NOT_FOUND', 'PAYLOAD_TOO_LARGE'],
    replies: { 200: { description: 'Taken', schema: z.object({ received: z.literal(true) }) } },
  },
  root: {
    method: 'get',
    path: '/',
    tag: 'Service',
    summary: 'Go to the reference',
    open: true,
    errors: [],
    replies: { 302: { description: 'The reference is at /docs', schema: z.object({ docs: z.string() }) } },
  },
  livez: {
    method: 'get',
    path: '/livez',
    tag: 'Service',
    summary: 'Is the process alive',
    open: true,
    errors: [],
    replies: { 200: { description: 'Yes', schema: z.object({ status: z.literal('ok') }) } },
  },
  readyz: {
    method: 'get',
    path: '/readyz',
    tag: 'Service',
    summary: 'Can it serve',
    open: true,
    errors: ['SERVICE_UNAVAILABLE'],
    replies: { 200: { description: 'Yes', schema: z.object({ status: z.literal('ok') }) } },
  },
  openapi: {
    method: 'get',
    path: '/openapi.json',
    tag: 'Service',
    summary: 'This document',
    open: true,
    errors: [],
    replies: { 200: { description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) } },
  },
  docs: {
    method: 'get',
    path: '/docs',
    tag: 'Service',
    summary: 'The interactive reference',
    open: true,
    errors: [],
    replies: { 200: { description: 'A page', html: true } },
  },
} as const satisfies Record<string, EndpointDefinition>
