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
    scope: 'files:write',
    summary: 'Upload a file',
    description:
      'As `multipart/form-data` with a part `file`, or as the body itself. It streams to storage, whatever its size.',
    upload: true,
    query: z.object({
      filename: z.string().max(255).optional().describe('Its name, where that of the upload will not do'),
      purpose: z
        .string()
        .max(64)
        .optional()
        .describe('What it is for, such as `batch`; input unless told otherwise'),
    }),
    errors: ['INVALID_REQUEST', 'INVALID_PARAMETER', 'PAYLOAD_TOO_LARGE'],
    replies: { 201: { description: 'The file; its `url` works in `input`', schema: file } },
  },
  listFiles: {
    method: 'get',
    path: '/v1/files',
    tag: 'Files',
    scope: 'files:read',
    summary: 'List files',
    description:
      'Those that were uploaded and the answers of batches; files of predictions are in their predictions.',
    query: pageQuery,
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Files, newest first', schema: fileList } },
  },
  getFile: {
    method: 'get',
    path: '/v1/files/{id}',
    tag: 'Files',
    scope: 'files:read',
    summary: 'Get a file',
    description: 'What is known of it, with a fresh signed URL.',
    params: fileId,
    errors: ['FILE_NOT_FOUND'],
    replies: { 200: { description: 'The file', schema: file } },
  },
  getFileContent: {
    method: 'get',
    path: '/v1/files/{id}/content',
    tag: 'Files',
    scope: 'files:read',
    summary: "A file's bytes, for its account",
    description: 'With the key instead of a signed URL; `Range` asks for a part.',
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
    scope: 'files:write',
    summary: 'Delete a file',
    description: 'Its bytes go at once.',
    params: fileId,
    errors: ['FILE_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: fileDeleted } },
  },
  downloadFile: {
    method: 'get',
    path: '/files/{id}/{name}',
    tag: 'Files',
    summary: 'Download a file by its signed URL',
    description: 'Without a key: whoever has the URL may fetch it until it expires. `Range` asks for a part.',
    open: true,
    params: fileId.extend({ name: z.string().describe('Any: it is what a browser saves it as') }),
    query: z.object({
      expires: z.string().optional().describe('Unix seconds; part of the signed URL'),
      signature: z.string().optional().describe('Part of the signed URL'),
    }),
    headers: ['Range'],
    errors: ['FILE_NOT_FOUND', 'FILE_URL_EXPIRED', 'RANGE_NOT_SATISFIABLE'],
    replies: {
      200: { description: 'The bytes', binary: true },
      206: { description: 'A range of them', binary: true },
    },
  },
} as const satisfies Record<string, EndpointDefinition>
