import { openHost } from './hosts/fal.ts'
import { conforms } from './provider-conformance.ts'

conforms('fal', () => openHost())
