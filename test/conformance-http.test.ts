import { openHost } from './hosts/http.ts'
import { conforms } from './provider-conformance.ts'

conforms('http, answering at once', () => openHost('sync'))
conforms('http, with jobs that are asked for', () => openHost('poll'))
conforms('http, with jobs that report', () => openHost('callback'))
