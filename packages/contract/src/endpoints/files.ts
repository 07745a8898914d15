import { z } from 'zod'
import type { EndpointDefinition } from '../endpoint.ts'
import { file, fileDeleted, fileList } from '../file.ts'
import { pageQuery } from '../lists.ts'

const fileId = z.object({ id: z.string().describe('file_…') })

/** What goes into predictions and comes out of them. */
export const fileEndpoints = {
  uploadFile: {
    method: 'post',
    path: '/v1/files',
    tag: 'Files',
    summary: 'Upload a file',
    upload: true,
    query: z.object({ filename: z.string().max(255).optional(), purpose: z.string().max(64).optional() }),
    errors: ['INVALID_REQUEST', 'INVALID_PARAMETER', 'PAYLOAD_TOO_LARGE'],
    replies: { 201: { description: 'The file; its `url` works in `input`', schema: file } },
  },
  listFiles: {
    method: 'get',
    path: '/v1/files',
    tag: 'Files',
    summary: 'List files',
    query: pageQuery,
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Files, newest first', schema: fileList } },
  },
  getFile: {
    method: 'get',
    path: '/v1/files/{id}',
    tag: 'Files',
    summary: 'Get a file',
    params: fileId,
    errors: ['FILE_NOT_FOUND'],
    replies: { 200: { description: 'The file', schema: file } },
  },
  getFileContent: {
    method: 'get',
    path: '/v1/files/{id}/content',
    tag: 'Files',
    summary: "A file's bytes, for its account",
    params: fileId,
    headers: ['Range'],
    errors: ['FILE_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],
    replies: {
      200: { description: 'The bytes', binary: true },
      206: { description: 'A part of them', binary: true },
    },
  },
  deleteFile: {
    method: 'delete',
    path: '/v1/files/{id}',
    tag: 'Files',
    summary: 'Delete a file',
    params: fileId,
    errors: ['FILE_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: fileDeleted } },
  },
  downloadFile: {
    method: 'get',
    path: '/files/{id}/{name}',
    tag: 'Files',
    summary: 'Download a file by its signed URL',
    open: true,
    params: fileId.extend({ name: z.string() }),
    query: z.object({ expires: z.string().optional(), signature: z.string().optional() }),
    headers: ['Range'],
    errors: ['FILE_NOT_FOUND', 'FILE_URL_EXPIRED', 'RANGE_NOT_SATISFIABLE'],
    replies: {
      200: { description: 'The bytes', binary: true },
      206: { description: 'A range of them', binary: true },
    },
  },
} as const satisfies Record<string, EndpointDefinition>
