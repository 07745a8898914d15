import { openHost } from './hosts/process.ts'
import { conforms } from './provider-conformance.ts'

conforms('command', () => openHost('command'))
