import { z } from 'zod'
import {
  balance,
  creditsMoved,
  ledgerEntryList,
  listLedgerQuery,
  moveCreditsBody,
  refundBody,
} from '../billing.ts'
import type { EndpointDefinition } from '../endpoint.ts'

const accountId = z.object({ id: z.string().describe('acct_…') })

/** Credits: what there is and what became of it. */
export const billingEndpoints = {
  getBalance: {
    method: 'get',
    path: '/v1/balance',
    tag: 'Billing',
    scope: 'usage:read',
    summary: 'Get the balance',
    description: 'What the account has, and what of it is held for what is under way.',
    errors: [],
    replies: { 200: { description: 'The balance', schema: balance } },
  },
  listLedger: {
    method: 'get',
    path: '/v1/ledger',
    tag: 'Billing',
    scope: 'usage:read',
    summary: 'List what moved the balance, newest first',
    description:
      'Page by page or by cursor; with `format=csv` or `Accept: text/csv` everything of the filter as one table.',
    query: listLedgerQuery,
    errors: [
      'INVALID_PARAMETER',
      'INVALID_PARAMETER_COMBINATION',
      'INVALID_DATE_FORMAT',
      'INVALID_DATE_RANGE',
    ],
    replies: { 200: { description: 'A page of entries', schema: ledgerEntryList, text: true } },
  },
  moveCredits: {
    method: 'post',
    path: '/v1/admin/accounts/{id}/credits',
    tag: 'Admin',
    scope: 'admin',
    summary: 'Give an account credits, or take some',
    description:
      'An amount below zero is taken, and may bring the balance below zero. With an Idempotency-Key it is done once: the same request again is answered with the first entry.',
    headers: ['Idempotency-Key'],
    params: accountId,
    body: moveCreditsBody,
    example: { amount: 25, reason: 'Invoice 7' },
    errors: ['INVALID_PARAMETER', 'ACCOUNT_NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED'],
    replies: { 201: { description: 'The entry and the balance', schema: creditsMoved } },
  },
  refundCharge: {
    method: 'post',
    path: '/v1/admin/accounts/{id}/refunds',
    tag: 'Admin',
    scope: 'admin',
    summary: 'Give back a charge, or a part of it',
    description:
      'In sum never more than was charged. With an Idempotency-Key it is done once: the same request again is answered with the first entry.',
    headers: ['Idempotency-Key'],
    params: accountId,
    body: refundBody,
    example: { prediction_id: 'pred_01h455vb4pex5vsknk084sn02q', reason: 'It came out blank' },
    errors: ['INVALID_PARAMETER', 'ACCOUNT_NOT_FOUND', 'PREDICTION_NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED'],
    replies: { 201: { description: 'The entry and the balance', schema: creditsMoved } },
  },
} as const satisfies Record<string, EndpointDefinition>
